//! Who owns the suspects, and what of the code and the changes around them a patch may touch.

use std::path::Path;
use std::sync::Arc;

use backtrail_localize::changes::NO_COMMIT;
use backtrail_localize::document;
use backtrail_model::change::Change;
use backtrail_model::ownership::{self, Codeowners, MOST_CODEOWNERS, Ownership, WrongLine};
use backtrail_model::patch_request::{LeftOut, PatchRequest, Target};
use backtrail_model::verdict::{Entity, SuspectOwner, Verdict};
use backtrail_pipeline::{Context, NodeError};

use super::config::Owners;

/// Most bytes of `ownership.yaml`.
const MOST_FILE: u64 = 16 << 20;
/// Most lines of a CODEOWNERS file that are logged as not understood.
const MOST_LOGGED: usize = 20;
/// Most things that a request says were left out.
const MOST_LEFT_OUT: usize = 50;

/// Reads the configured files; `None` when none is. Lines of CODEOWNERS that are not understood are logged and counted,
/// and cost only themselves, as on the platforms that read them.
pub(super) fn read(config: &Owners, cx: &Context) -> Result<Option<Arc<Ownership>>, NodeError> {
    let mut known = None;
    if let Some(path) = &config.file {
        let text = text(path, MOST_FILE).map_err(|why| failed("file", path, &format!(": {why}")))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let load = |name: &str| self::text(&folder.join(name), MOST_CODEOWNERS);
        let taken = ownership::read(&text, load).map_err(|problems| {
            let places: Vec<String> = problems.iter().map(|problem| format!(":{problem}")).collect();
            failed("file", path, &places.join(&format!("; {}", path.display())))
        })?;
        for (name, wrong) in taken.wrong.iter().take(MOST_LOGGED) {
            log(&folder.join(name), wrong);
        }
        cx.stats().note("codeowners_wrong_lines", taken.wrong.len() as u64);
        known = Some(taken.ownership);
    }
    if let Some(path) = &config.codeowners {
        let text = text(path, MOST_CODEOWNERS).map_err(|why| failed("codeowners", path, &format!(": {why}")))?;
        let common = Codeowners::read(&text);
        common.wrong().iter().take(MOST_LOGGED).for_each(|wrong| log(path, wrong));
        cx.stats().note("codeowners_wrong_lines", common.wrong().len() as u64);
        known = Some(match known {
            Some(ownership) => ownership.with_codeowners(common),
            None => Ownership::of_codeowners(common),
        });
    }
    Ok(known.map(Arc::new))
}

fn log(path: &Path, wrong: &WrongLine) {
    tracing::warn!(place = format!("{}:{}", path.display(), wrong.line), why = wrong.why, "a line was not understood");
}

fn failed(key: &str, path: &Path, why: &str) -> NodeError {
    NodeError::config(
        format!("ownership.{key} {}{why}", path.display()),
        "docs/reference/inputs/ownership.v1.schema.json says what stands in it; or leave it out",
    )
}

fn text(path: &Path, most: u64) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > most {
        return Err(format!("{size} bytes, at most {most} are read"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// A change of which nobody said what service it is of is that service's whose folder holds all its files.
pub(super) fn attribute(change: Arc<Change>, ownership: &Ownership) -> Arc<Change> {
    match ownership.service_of(&change).filter(|_| change.service.is_empty()) {
        Some(service) => Arc::new(Change { service: service.to_owned(), ..(*change).clone() }),
        None => change,
    }
}

/// States the owners of the suspects, and that nobody can be asked when the first suspect has none.
pub(super) fn state(verdict: &mut Verdict, ownership: &Ownership, changes: &[Arc<Change>]) {
    let first = verdict.of_kind("service").next().map(|suspect| suspect.entity.service.clone());
    let first = first.unwrap_or_default();
    let entities = verdict.suspects.iter().map(|suspect| &suspect.entity);
    let owners = entities.filter_map(|entity| match entity.kind.as_str() {
        "change" => of_change(entity, &first, ownership, changes),
        _ => of_code(entity, ownership),
    });
    verdict.owners = owners.collect();
    if !first.is_empty() && ownership.is_unowned(&first) {
        let ask = document::ask_for_patch(&first);
        verdict.next_actions.retain(|next| next.action != ask);
        verdict.limits.push(format!("ownership.yaml names no owner of {first}, so no patch of it is asked for"));
    }
}

fn of_code(entity: &Entity, ownership: &Ownership) -> Option<SuspectOwner> {
    let service = entity.service.as_str();
    let file = if entity.kind == "file" && entity.file.is_empty() { &entity.name } else { &entity.file };
    let owner = ownership.of_service(service);
    let (mut paths, mut outside) = (Vec::new(), String::new());
    let owners = if file.is_empty() {
        paths.extend(owner.map(|owner| owner.path_prefix.clone()).filter(|folder| !folder.is_empty()));
        ownership.owners_of_folder(service)
    } else if let Some(path) = ownership.place(service, file) {
        outside = ownership.outside(service, "", &path).unwrap_or_default();
        let owners = ownership.owners(service, &path);
        paths.push(path.clone());
        owners
    } else {
        UNPLACED.clone_into(&mut outside);
        Vec::new()
    };
    let owners: Vec<String> = owners.into_iter().map(str::to_owned).collect();
    if owner.is_none() && owners.is_empty() {
        return None;
    }
    let (team, repository) = owner.map(|owner| (owner.team.clone(), owner.repository.clone())).unwrap_or_default();
    Some(SuspectOwner { entity: entity.clone(), team, repository, paths, owners, outside })
}

/// Why a file of telemetry is no candidate when its place is not known.
const UNPLACED: &str = "its place in the repository is not known; source_root tells where the service's folder runs";

/// The owner of a change, and whether a patch of the service `first` could touch what it touched.
fn of_change(entity: &Entity, first: &str, ownership: &Ownership, changes: &[Arc<Change>]) -> Option<SuspectOwner> {
    let is_it = |change: &&Arc<Change>| {
        change.commit == entity.commit && (!entity.commit.is_empty() || change.title() == entity.name)
    };
    // Of a commit and its deploys the commit names the files.
    let found = changes.iter().filter(is_it).max_by_key(|change| change.files.len());
    let change = found.filter(|_| entity.name != NO_COMMIT)?;
    let service = if entity.service.is_empty() { first } else { &entity.service };
    let owner = ownership.of_service(&entity.service);
    let paths: Vec<String> = change.files.iter().map(|file| file.path.clone()).collect();
    let mut owners: Vec<String> = Vec::new();
    for name in paths.iter().flat_map(|path| ownership.owners(service, path)) {
        if !owners.iter().any(|known| known == name) {
            owners.push(name.to_owned());
        }
    }
    let outside = |path: &String| ownership.outside(first, &change.repository, path);
    // With one file inside there is something that a patch can mend.
    let whys: Option<Vec<String>> = paths.iter().map(outside).collect();
    let outside = whys.and_then(|whys| whys.into_iter().next()).unwrap_or_default();
    let team = owner.map_or_else(String::new, |owner| owner.team.clone());
    let of_service = || owner.map_or_else(String::new, |owner| owner.repository.clone());
    let repository = if change.repository.is_empty() { of_service() } else { change.repository.clone() };
    let known = !(team.is_empty() && repository.is_empty() && owners.is_empty());
    known.then(|| SuspectOwner { entity: entity.clone(), team, repository, paths, owners, outside })
}

/// Says where the patch may be made, and leaves out the code and the changes that lie elsewhere.
pub(super) fn confine(request: &mut PatchRequest, ownership: &Ownership, changes: &[Arc<Change>]) {
    let service = request.suspect_ref.entity.service.clone();
    let Some(owner) = ownership.of_service(&service) else { return };
    let mut left_out = Vec::new();
    request.code_context.files.retain_mut(|file| {
        let place = ownership.place(&service, &file.path);
        let why = match &place {
            Some(path) => ownership.outside(&service, "", path),
            None => Some(UNPLACED.to_owned()),
        };
        if let Some(why) = why {
            left_out.push(LeftOut { what: file.path.clone(), why });
            return false;
        }
        file.path = place.unwrap_or_default();
        true
    });
    request.recent_changes.retain(|recent| {
        let change = changes.iter().find(|change| !recent.sha.is_empty() && change.commit == recent.sha);
        let repository = change.map_or("", |change| &change.repository);
        let why = ownership.outside(&service, repository, &recent.file);
        let inside = why.is_none();
        left_out.extend(why.map(|why| LeftOut { what: format!("{} in {}", recent.file, recent.sha), why }));
        inside
    });
    left_out.truncate(MOST_LEFT_OUT);
    let mut owners: Vec<&str> =
        request.code_context.files.iter().flat_map(|file| ownership.owners(&service, &file.path)).collect();
    if owners.is_empty() {
        owners = ownership.owners_of_folder(&service);
    }
    owners.sort_unstable();
    owners.dedup();
    request.target = Some(Target {
        repository: owner.repository.clone(),
        path_prefix: owner.path_prefix.clone(),
        default_branch: owner.default_branch.clone(),
        team: owner.team.clone(),
        owners: owners.into_iter().map(str::to_owned).collect(),
        left_out,
    });
}
