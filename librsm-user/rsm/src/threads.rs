// SPDX-License-Identifier: MIT OR Apache-2.0
//! What threads may do with this crate's types, checked when the tests are compiled.

use crate::*;

fn sent<T: Send>() {}
fn shared<T: Send + Sync>() {}

#[test]
fn everything_may_be_sent_and_shared() {
    shared::<Controller>();
    shared::<ExportBuffer>();
    shared::<ForeignMemory>();
    shared::<ExportSegment>();
    shared::<ExportSegment<ForeignMemory>>();
    shared::<ImportSegment>();
    shared::<Mapping>();
    shared::<SharedBytes<'static>>();
    shared::<SharedCursor<'static>>();
    shared::<SharedValue<'static, u64>>();
    shared::<SharedSlice<'static, u64>>();
    shared::<Barrier<'static>>();
    shared::<Signal>();
    shared::<Readiness>();
    shared::<LocalMemory>();
    shared::<PutEntry<'static>>();
    shared::<GetEntry<'static>>();
    shared::<Error>();
    shared::<ScatterError>();
    sent::<CreateError>();
}

/// Memory that must stay in its thread.
struct Local(std::marker::PhantomData<*mut u8>);

// SAFETY: never made.
unsafe impl ExportMemory for Local {
    fn range(&self) -> (std::ptr::NonNull<u8>, usize) {
        unreachable!()
    }
}

/// Ambiguous, and so not compiled, if `T` is `Send`.
trait NotSend<A> {
    fn proof() {}
}
impl<T: ?Sized> NotSend<()> for T {}
impl<T: ?Sized + Send> NotSend<u8> for T {}

#[test]
fn a_segment_goes_no_further_than_its_memory() {
    <ExportSegment<Local> as NotSend<_>>::proof();
    <LocalMemory<Local> as NotSend<_>>::proof();
}
