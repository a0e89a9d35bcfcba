# SPDX-License-Identifier: MIT OR Apache-2.0
#
# What a person calls.  The work is done in scripts/; building the module for
# the kernel is in Kbuild.

PREFIX ?= /usr/local

.PHONY: help demo test mutants soak bench bench-scale shell kernel module modules_install install lint uapi-doc clean distclean

help:
	@echo 'Remote shared memory for Linux'
	@echo
	@echo '  make demo             set everything up, boot a stock kernel, share memory and take it back'
	@echo '  make test             set everything up, then all tests: host, stock kernels, debug kernel'
	@echo '  make shell            a guest with the module loaded, to try things by hand'
	@echo
	@echo '  make module           build rsm.ko for the kernel build directory KDIR (default: the running kernel)'
	@echo '  make modules_install  install it (INSTALL_MOD_PATH)'
	@echo '  make install          build the C library and the tools; install them, headers, documentation, udev rule'
	@echo '  make kernel           prepare a Debian kernel to build and boot; prints where it is'
	@echo
	@echo '  make mutants          takes remedies out of the module, one at a time: a test has to fail; takes long'
	@echo '  make soak             the tests with full counts; takes hours'
	@echo '  make bench            what segments cost beside memfd, shm, process_vm_readv, sockets, pipes'
	@echo '  make bench-scale      what operations cost among 10 and among 100,000 segments; two minutes'
	@echo '  make lint             all static checks'
	@echo '  make uapi-doc         make Documentation/uapi.rst from the header'
	@echo '  make clean            remove what was built in the tree and the programs built in the cache'
	@echo '  make distclean        remove the whole cache: toolchain, kernels, builds'
	@echo
	@echo 'Variables'
	@echo '  KERNEL=7.2            demo, shell, kernel, bench, bench-scale: a series, a version, newest (default), or debug;'
	@echo '                        mutants: what stands for stock kernels'
	@echo '  FLAVOUR=amd64         Debian kernel flavour (default cloud-amd64)'
	@echo '  FILE=path             demo: the file to share (default: the source tarball of the kernel)'
	@echo '  ACCEL=tcg|kvm|icount  how QEMU runs guests (default: KVM only where it is known to work;'
	@echo '                        benchmarks: icount, which counts instructions)'
	@echo '  KERNELS=stock|debug   test: only these kernels (default all)'
	@echo '  T=name                test: only tests with this in their names; mutants: only such mutants'
	@echo '  MODE=icount|brief|smp bench: count instructions (default), of segments only, or measure time on CPUS=2 processors'
	@echo '  ACCEPT=1              bench: keep the result in the tree, to compare later ones with'
	@echo '  CHECK=1               mutants: that the same tests pass with the real module, too'
	@echo '  PREFIX, LIBDIR, SYSCONFDIR, DESTDIR  install: where to (default /usr/local, its lib, /etc)'
	@echo '  XDG_CACHE_HOME=dir    where the cache is (default ~/.cache); it needs 12 GiB'

demo:
	@KERNEL='$(KERNEL)' FILE='$(FILE)' ACCEL='$(ACCEL)' scripts/demo

test:
	@KERNELS='$(KERNELS)' T='$(T)' SOAK='$(SOAK)' ACCEL='$(ACCEL)' scripts/test

mutants:
	@KERNEL='$(KERNEL)' T='$(T)' CHECK='$(CHECK)' ACCEL='$(ACCEL)' scripts/mutants

soak:
	@KERNELS='$(KERNELS)' T='$(T)' SOAK=1 ACCEL='$(ACCEL)' scripts/test

bench:
	@KERNEL='$(KERNEL)' ACCEL='$(ACCEL)' MODE='$(MODE)' CPUS='$(CPUS)' ACCEPT='$(ACCEPT)' scripts/bench

bench-scale:
	@KERNEL='$(KERNEL)' ACCEL='$(ACCEL)' scripts/bench-scale

shell:
	@KERNEL='$(KERNEL)' ACCEL='$(ACCEL)' scripts/shell

kernel:
	@dir=$$(scripts/kernel '$(or $(KERNEL),newest)') && echo "$$dir" && \
	echo "To build the module for it: make module KDIR=$$dir" >&2

module:
	@KDIR='$(KDIR)' scripts/build-module build

modules_install:
	@KDIR='$(KDIR)' INSTALL_MOD_PATH='$(INSTALL_MOD_PATH)' scripts/build-module install

install:
	@PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' SYSCONFDIR='$(SYSCONFDIR)' DESTDIR='$(DESTDIR)' scripts/install

lint:
	@scripts/lint

uapi-doc:
	@scripts/uapi-doc

clean:
	@scripts/clean

distclean:
	@scripts/clean all
