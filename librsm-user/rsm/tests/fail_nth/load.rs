// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading the module: it is loaded, or nothing is left of it.

use nix::errno::Errno;

use crate::common::{module, raw, soak};
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
    // Each round takes a second.
    let spells: &[Spell] = match soak() {
        true => &[Spell::Once, Spell::Lasting],
        false => &[Spell::Lasting],
    };
    for &spell in spells {
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
                    assert_eq!(error, Errno::ENOMEM, "{nth}, {spell:?}");
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
        assert!(failed >= 20, "{spell:?}: {failed}");
    }
    module::load(&file).expect("load");
    module::open_to_everyone();
}
