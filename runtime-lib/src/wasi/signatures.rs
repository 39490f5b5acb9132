//! Checks when this crate is compiled that each host function of the contract whose symbol is written out is here, with
//! the parameters and the result that the contract tells the compiler. `exports.rs` makes the others from the contract.

const _: unsafe extern "C" fn(*mut u8, u32) = super::exports::proc_exit;
const _: unsafe extern "C" fn(*mut u8, u32) -> u32 = super::threads::thread_spawn;
