// SPDX-License-Identifier: GPL-2.0

//! Export descriptors: the commands on a segment, and its end on last close.

use crate::device::Controller;
use crate::interconnect::Interconnect;
use crate::kapi::file::{self, AnonFile, FileObject, FileOps};
use crate::kapi::waitqueue::Poll;
use crate::limits::{Counted, Owned, Share, Ticket};
use crate::logic::range;
use crate::logic::segid;
use crate::logic::status::Status;
use crate::segment::{Plan, Segment};
use crate::uapi::{
    self, rsm_access_entry, rsm_event_post, rsm_event_wait, rsm_export_create, rsm_export_destroy,
    rsm_export_publish, rsm_export_rebind, rsm_export_republish, rsm_export_unpublish, Commit,
    Fail, RSM_CMD_EVENT_POST, RSM_CMD_EVENT_WAIT, RSM_CMD_EXPORT_DESTROY, RSM_CMD_EXPORT_PUBLISH,
    RSM_CMD_EXPORT_REBIND, RSM_CMD_EXPORT_REPUBLISH, RSM_CMD_EXPORT_UNPUBLISH,
    RSM_EVENT_NO_ACCUMULATE, RSM_EXPORT_ALLOW_REBIND,
};
use core::mem::size_of;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::sync::{Arc, ArcBorrow};
use kernel::uaccess::{UserPtr, UserSlice};

/// RSM_EXPORT_CREATE.
pub(crate) fn create(
    controller: &Controller,
    args: &mut rsm_export_create,
) -> Result<Commit, Fail> {
    let pages = range::export_pages(args.addr, args.length, PAGE_SIZE as u64)?;
    let plan = Plan {
        addr: args.addr,
        pages,
        rebindable: args.flags & RSM_EXPORT_ALLOW_REBIND != 0,
        interconnect: controller.interconnect(),
        share: Share::new(controller.user(), Owned::Segment)?,
        roll: controller.roll().clone(),
        ticket: Ticket::new(Counted::Segments, 1)?,
    };
    let file = AnonFile::with_inode(c"[rsm-export]", &FILE_OPS)?;
    let segment = Segment::new(plan, file.mapping(), controller.names().clone())?;
    let fd = match file::reserve_fd() {
        Ok(fd) => fd,
        Err(error) => {
            // Nobody has seen the segment, but its memory is watched.
            segment.revoke();
            return Err(error.into());
        }
    };
    if let Err(error) = segment.enrol() {
        segment.revoke();
        return Err(error.into());
    }
    args.fd = fd.reserved_fd() as i32;
    Ok(Commit::Fd(file.finish(segment, fd)))
}

/// RSM_EXPORT_PUBLISH.
fn publish(segment: ArcBorrow<'_, Segment>, args: &mut rsm_export_publish) -> Result<Commit, Fail> {
    segment.check_not_published()?;
    let request = segid::request(args.segment_id).ok_or(Status::ReservedSegid)?;
    segment.check_creator()?;
    let acl = read_acl(segment.interconnect(), args.acl, args.acl_len)?;
    let segment: Arc<Segment> = segment.into();
    let id = segment.publish(request, acl)?;
    args.segment_id = id;
    Ok(Commit::Published(segment, id))
}

/// RSM_EXPORT_REPUBLISH.
fn republish(segment: &Segment, args: &mut rsm_export_republish) -> Result<Commit, Fail> {
    segment.check_republishable()?;
    segment.check_creator()?;
    let acl = read_acl(segment.interconnect(), args.acl, args.acl_len)?;
    segment.republish(acl)?;
    Ok(Commit::None)
}

/// The mode that an access list gives the one node there is; `None` without a list.
fn read_acl(interconnect: &dyn Interconnect, acl: u64, len: u32) -> Result<Option<u32>, Status> {
    match len {
        0 => return Ok(None),
        len if len > interconnect.max_acl() => return Err(Status::BadAcl),
        _ => (),
    }
    let addr = usize::try_from(acl).map_err(|_| Status::BadAddr)?;
    let mut reader =
        UserSlice::new(UserPtr::from_addr(addr), size_of::<rsm_access_entry>()).reader();
    let node: u32 = reader.read().map_err(|_| Status::BadAddr)?;
    let perm: u32 = reader.read().map_err(|_| Status::BadAddr)?;
    if interconnect.accepts(node, perm) {
        Ok(Some(perm))
    } else {
        Err(Status::BadAcl)
    }
}

/// RSM_EXPORT_UNPUBLISH.
fn unpublish(segment: &Segment, _args: &mut rsm_export_unpublish) -> Result<Commit, Fail> {
    segment.check_published()?;
    segment.check_creator()?;
    segment.unpublish(None)?;
    Ok(Commit::None)
}

/// RSM_EXPORT_REBIND.
fn rebind(segment: ArcBorrow<'_, Segment>, args: &mut rsm_export_rebind) -> Result<Commit, Fail> {
    let segment: Arc<Segment> = segment.into();
    segment.rebind(args.addr, args.length)?;
    Ok(Commit::None)
}

/// RSM_EXPORT_DESTROY.
fn destroy(segment: &Segment, _args: &mut rsm_export_destroy) -> Result<Commit, Fail> {
    segment.check_creator()?;
    segment.revoke();
    Ok(Commit::None)
}

/// RSM_EVENT_POST.
fn post(segment: &Segment, args: &mut rsm_event_post) -> Result<Commit, Fail> {
    segment.post_to_importers(args.flags & RSM_EVENT_NO_ACCUMULATE == 0);
    Ok(Commit::None)
}

/// RSM_EVENT_WAIT.
fn wait(segment: &Segment, args: &mut rsm_event_wait) -> Result<Commit, Fail> {
    let waited = segment.events().wait(args.timeout_ms);
    waited.map_err(|status| Fail::of_wait(status, args.timeout_ms))?;
    Ok(Commit::None)
}

static FILE_OPS: FileOps<Segment> = FileOps::new();

impl FileObject for Segment {
    const IOCTL: bool = true;
    const POLL: bool = true;
    const DESCRIBED: bool = true;

    fn ioctl(this: ArcBorrow<'_, Self>, cmd: u32, arg: usize) -> Result {
        match uapi::command(cmd) {
            Some(RSM_CMD_EXPORT_PUBLISH) => uapi::run(cmd, arg, |args| publish(this, args)),
            Some(RSM_CMD_EXPORT_REPUBLISH) => uapi::run(cmd, arg, |args| republish(&this, args)),
            Some(RSM_CMD_EXPORT_UNPUBLISH) => uapi::run(cmd, arg, |args| unpublish(&this, args)),
            Some(RSM_CMD_EXPORT_REBIND) => uapi::run(cmd, arg, |args| rebind(this, args)),
            Some(RSM_CMD_EXPORT_DESTROY) => uapi::run(cmd, arg, |args| destroy(&this, args)),
            Some(RSM_CMD_EVENT_POST) => uapi::run(cmd, arg, |args| post(&this, args)),
            Some(RSM_CMD_EVENT_WAIT) => uapi::run(cmd, arg, |args| wait(&this, args)),
            _ => Err(ENOTTY),
        }
    }

    fn poll(&self, poll: Poll) -> u32 {
        self.events().poll(poll)
    }

    fn describe(&self, out: &SeqFile) {
        self.write_description(out);
    }

    fn release(this: Arc<Self>) {
        this.revoke();
        this.strike();
    }
}
