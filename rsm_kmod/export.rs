// SPDX-License-Identifier: GPL-2.0

//! Export descriptors: the commands on a segment, and its end on last close.

use crate::device::Controller;
use crate::kapi::file::{self, AnonFile, FileObject, FileOps};
use crate::logic::access;
use crate::logic::segid;
use crate::logic::status::Status;
use crate::loopback;
use crate::segment::{Backing, Segment};
use crate::uapi::{
    self, rsm_access_entry, rsm_export_create, rsm_export_destroy, rsm_export_publish, Commit,
    Fail, RSM_CMD_EXPORT_DESTROY, RSM_CMD_EXPORT_PUBLISH,
};
use core::mem::size_of;
use kernel::prelude::*;
use kernel::sync::{Arc, ArcBorrow};
use kernel::uaccess::{UserPtr, UserSlice};

/// RSM_EXPORT_CREATE.
pub(crate) fn create(
    controller: &Controller,
    args: &mut rsm_export_create,
) -> Result<Commit, Fail> {
    let backing = Backing::new(args.addr, args.length)?;
    let fd = file::reserve_fd()?;
    let file = AnonFile::with_inode(c"[rsm-export]", &FILE_OPS)?;
    let segment = Segment::new(backing, file.mapping(), controller.registry().clone())?;
    args.fd = fd.reserved_fd() as i32;
    Ok(Commit::Fd(file.finish(segment, fd)))
}

/// RSM_EXPORT_PUBLISH.
fn publish(segment: ArcBorrow<'_, Segment>, args: &mut rsm_export_publish) -> Result<Commit, Fail> {
    segment.check_not_published()?;
    let request = segid::request(args.segment_id).ok_or(Status::ReservedSegid)?;
    segment.check_creator()?;
    let acl = read_acl(args)?;
    let segment: Arc<Segment> = segment.into();
    args.segment_id = segment.publish(request, acl)?;
    Ok(Commit::None)
}

/// The mode that the access list gives the one node there is; `None` without a list.
fn read_acl(args: &rsm_export_publish) -> Result<Option<u32>, Status> {
    match args.acl_len {
        0 => return Ok(None),
        len if len > loopback::MAX_ACL => return Err(Status::BadAcl),
        _ => (),
    }
    let addr = usize::try_from(args.acl).map_err(|_| Status::BadAddr)?;
    let mut reader =
        UserSlice::new(UserPtr::from_addr(addr), size_of::<rsm_access_entry>()).reader();
    let node: u32 = reader.read().map_err(|_| Status::BadAddr)?;
    let perm: u32 = reader.read().map_err(|_| Status::BadAddr)?;
    if access::entry_valid(node, perm, loopback::LOCAL_NODE) {
        Ok(Some(perm))
    } else {
        Err(Status::BadAcl)
    }
}

/// RSM_EXPORT_DESTROY.
fn destroy(segment: &Segment, _args: &mut rsm_export_destroy) -> Result<Commit, Fail> {
    segment.check_creator()?;
    segment.revoke();
    Ok(Commit::None)
}

static FILE_OPS: FileOps<Segment> = FileOps::new();

impl FileObject for Segment {
    const IOCTL: bool = true;

    fn ioctl(this: ArcBorrow<'_, Self>, cmd: u32, arg: usize) -> Result {
        match uapi::command(cmd) {
            Some(RSM_CMD_EXPORT_PUBLISH) => uapi::run(cmd, arg, |args| publish(this, args)),
            Some(RSM_CMD_EXPORT_DESTROY) => uapi::run(cmd, arg, |args| destroy(&this, args)),
            _ => Err(ENOTTY),
        }
    }

    fn release(this: Arc<Self>) {
        this.revoke();
    }
}
