// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading the module: it is loaded, or nothing is left of it.

use crate::common::{module, raw};
use crate::injection::{Injection, Scope, Spell};
use crate::skipped;

#[test]
fn load() {
    if skipped() {
        return;
    }
    let injection = Injection::new(Scope::Under("do_one_initcall"));
    let file = module::file();
    module::unload_soon();
    for spell in [Spell::Once, Spell::Lasting] {
        let mut failed = 0;
        for nth in 1.. {
            let (result, struck) = injection.strike(nth, spell, || module::load(&file));
            match result {
                Ok(()) => {
                    drop(raw::controller());
                    module::unload_soon();
                }
                Err(error) => {
                    assert!(struck, "{error} without a fault");
                    assert_eq!(error, nix::errno::Errno::ENOMEM, "{nth}, {spell:?}");
                    failed += 1;
                }
            }
            module::assert_absent();
            if !struck {
                println!("load, {spell:?}: {failed} of {nth} failed");
                break;
            }
        }
        // Two queues, tables, the device.
        assert!(failed >= 7, "{spell:?}: {failed}");
    }
    module::load(&file).expect("load");
    module::open_to_everyone();
}
