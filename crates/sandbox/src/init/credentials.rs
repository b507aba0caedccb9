//! Giving up rights, for good.
//!
//! There is no call for capabilities here, and none is needed: who is not root and starts a program has none left. So
//! the last step is always a user namespace in which we are somebody else than root, and in which no further one can
//! be made (inside one, a program would be root again, with all of the kernel's surface that root can reach).

use std::fs;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, getegid, geteuid, setgroups, setresgid, setresuid};

use super::Stage;
use crate::sandbox::spec::Spec;
use crate::sandbox::{Aspect, Isolation};

/// In a fresh user namespace: who we are inside, and who that is outside.
pub(super) fn map(uid: u32, outer_uid: u32, gid: u32, outer_gid: u32) -> Result<(), String> {
    for (file, line) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{uid} {outer_uid} 1")),
        ("gid_map", format!("{gid} {outer_gid} 1")),
    ] {
        let path = format!("/proc/self/{file}");
        fs::write(&path, line).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

pub(super) fn give_up(spec: &Spec, stage: Stage, isolation: &mut Isolation) {
    let mut why = spec.not_user.clone();
    if let (Some((uid, gid)), None) = (spec.user, stage.was) {
        let (new_uid, new_gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let changed = setgroups(&[])
            .and_then(|()| setresgid(new_gid, new_gid, new_gid))
            .and_then(|()| setresuid(new_uid, new_uid, new_uid));
        // A change of user makes the files in /proc/self root's; the maps below are written there.
        let _ = prctl::set_dumpable(true);
        why = changed.err().map(|errno| format!("could not become user {uid}: {errno}"));
    }
    // Inside we keep our number, unless that is root's.
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let (inner_uid, inner_gid) = stage.was.unwrap_or((uid, gid));
    let number = |number: u32| if number == 0 { 1000 } else { number };
    let last = unshare(CloneFlags::CLONE_NEWUSER)
        .map_err(|errno| format!("no user namespace: {errno}"))
        .and_then(|()| map(number(inner_uid), uid, number(inner_gid), gid))
        .and_then(|()| {
            let none = "/proc/sys/user/max_user_namespaces";
            fs::write(none, "0")
                .map_err(|error| format!("further user namespaces cannot be forbidden: {none}: {error}"))
        });
    isolation.note(Aspect::User, last);
    let root = geteuid().is_root();
    let why = why.unwrap_or_else(|| "it could not become another user".into());
    isolation.note(Aspect::Credentials, if root { Err(why) } else { Ok(()) });
}
