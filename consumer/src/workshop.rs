//! The workshop: where a candidate is made, applied, taken back, tested and judged. It works in folders that are thrown
//! away, on commits of a mirror, and changes nothing that anybody else sees.

mod coverage;
mod prove;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use backtrail_model::ownership::Ownership;
use backtrail_model::patch_request::PatchRequest;
use backtrail_policy::{Decision, Input, Policy, Stage};
use backtrail_redact::Redactor;
use backtrail_sandbox::git::{Diff, Mirror, Worktree};
use backtrail_sandbox::{Error as SandboxError, Limits, Sandbox, TreePath};

use crate::candidate::{Candidate, Draft, Proposal};
use crate::context::Context;
use crate::contracts;
use crate::error::{During, Error};
use crate::facts::{self, Changed};
use crate::journal::digest;
use crate::redaction;
use crate::triage::{Mapping, Missing};

pub use coverage::Coverage;
pub use prove::{Baseline, Evidence};

/// The first argument by which this binary becomes the first process of a sandbox.
pub const SANDBOX: &str = "__sandbox";
/// Most bytes of a file that is compared.
const MOST_FILE: u64 = 16 << 20;
/// Most functions that a patch may change.
const MOST_FUNCTIONS: u64 = 5;

/// The workshop.
pub struct Workshop {
    /// Where mirrors of repositories are kept from one remediation to the next.
    mirrors: PathBuf,
    /// Where working trees come and go.
    scratch: PathBuf,
    sandbox: Sandbox,
    policy: Policy,
    /// Finds what is not to be written down.
    redactor: Redactor,
    /// Limits of one run of a suite of tests.
    limits: Limits,
    /// Results of the tests of a commit without any patch: the same for all candidates.
    baselines: RefCell<BTreeMap<String, Baseline>>,
    /// The code that was read last.
    last: RefCell<Option<Rc<Context>>>,
}

/// A draft as a difference.
pub struct Made {
    /// As `git apply` takes it.
    pub patch: Vec<u8>,
    /// Paths of the files that it touches.
    pub files: Vec<String>,
    /// Lines added and removed.
    pub lines: u64,
}

/// A patch, applied to the deployed commit in a folder of its own.
pub struct Applied {
    worktree: Worktree,
    patch: Vec<u8>,
    diff: Diff,
    /// Texts before and after, in the order of the difference's files.
    texts: Vec<(String, Option<String>, Option<String>)>,
    /// Hash of the tree with it.
    pub tree: String,
    /// Hash of the tree before, and after it was taken back.
    revert_proof: backtrail_policy::RevertProof,
    _folder: tempfile::TempDir,
}

/// What the policy said, and what it was asked.
pub struct Judged {
    /// Its answer.
    pub decision: Decision,
    /// The question, as JSON.
    pub input: Vec<u8>,
}

impl Judged {
    /// Every reason against the patch, in words.
    pub fn denials(&self) -> Vec<String> {
        self.decision.denials.iter().map(|denial| format!("{}: {}", denial.rule, denial.msg)).collect()
    }
}

impl Workshop {
    /// A workshop in `dir`. `sandbox` says how tests are started; the consumer's own data is hidden from them.
    pub fn open(dir: &Path, mut sandbox: Sandbox, policy: Policy, limits: Limits) -> Result<Self, Error> {
        let (mirrors, scratches) = (dir.join("mirrors"), dir.join("scratch"));
        sweep(&scratches);
        let scratch = scratches.join(std::process::id().to_string());
        for folder in [&mirrors, &scratch] {
            std::fs::create_dir_all(folder).during("create", folder)?;
        }
        sandbox.hidden.push(std::fs::canonicalize(dir).during("open", dir)?);
        let redactor = Redactor::new();
        Ok(Self {
            mirrors,
            scratch,
            sandbox,
            policy,
            redactor,
            limits,
            baselines: RefCell::default(),
            last: RefCell::default(),
        })
    }

    /// The same with another idea of what is not to be written down.
    #[must_use]
    pub fn with_redactor(mut self, redactor: Redactor) -> Self {
        self.redactor = redactor;
        self
    }

    /// Finds what is not to be written down.
    pub const fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// A document fit to be kept: its texts come from code and tests.
    pub fn document(&self, content: &impl serde::Serialize) -> Vec<u8> {
        let value = serde_json::to_value(content).unwrap_or_default();
        serde_json::to_vec_pretty(&redaction::document(&self.redactor, value)).unwrap_or_default()
    }

    /// The policy that is in force.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Reads the code, or says what is missing of it. What was read last is kept: a remediation takes many steps, and a
    /// commit does not change.
    pub fn context(&self, request: &PatchRequest, mapping: &Mapping) -> Result<Result<Rc<Context>, Missing>, Error> {
        let is_known = |known: &&Rc<Context>| known.request == *request && known.mapping == *mapping;
        if let Some(known) = self.last.borrow().as_ref().filter(is_known) {
            return Ok(Ok(Rc::clone(known)));
        }
        let read = match self.ground(request, mapping)? {
            Ok(context) if context.suspects.is_empty() => return Ok(Err(Missing::PlaceInRepository)),
            Ok(context) => Rc::new(context),
            Err(missing) => return Ok(Err(missing)),
        };
        *self.last.borrow_mut() = Some(Rc::clone(&read));
        Ok(Ok(read))
    }

    /// The same for a patch that is there already: where the suspect is does not matter.
    pub fn ground(&self, request: &PatchRequest, mapping: &Mapping) -> Result<Result<Context, Missing>, Error> {
        let mirror = Mirror::of(&mapping.repository, &self.mirrors)?;
        let commit = match mirror.resolve(&mapping.commit) {
            Ok(commit) => commit,
            Err(SandboxError::Missing(_)) => {
                return Ok(Err(Missing::CommitOfRepository { commit: mapping.commit.clone() }));
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Ok(Context::read(request, mapping, mirror, commit)?))
    }

    /// Makes the difference of a draft.
    pub fn make(&self, context: &Context, draft: &Draft) -> Result<Made, Error> {
        let (_folder, mut worktree) = self.checkout(context)?;
        for edit in &draft.edits {
            let path = TreePath::checked(edit.path.as_bytes())?;
            match &edit.content {
                Some(content) => worktree.write(&path, content)?,
                None => worktree.remove(&path)?,
            }
        }
        let base = worktree.base().to_owned();
        let diff = worktree.diff(&base)?;
        Ok(Made {
            files: diff.files.iter().map(|file| file.path.to_string()).collect(),
            lines: diff.files.iter().map(|file| file.added + file.removed).sum(),
            patch: diff.patch,
        })
    }

    /// Applies a patch to the deployed commit, and shows that it can be taken back. What does not apply is an error of
    /// the patch.
    pub fn apply(&self, context: &Context, patch: &[u8]) -> Result<Result<Applied, String>, Error> {
        let (folder, mut worktree) = self.checkout(context)?;
        let before = worktree.tree_hash()?;
        let of_patch = |error: SandboxError| match error {
            SandboxError::Git { .. } | SandboxError::Refused { .. } | SandboxError::TooLarge { .. } => {
                Ok(error.to_string())
            }
            other => Err(Error::from(other)),
        };
        let tree = match worktree.apply(patch) {
            Ok(applied) => applied.tree,
            Err(error) => return Ok(Err(of_patch(error)?)),
        };
        let base = worktree.base().to_owned();
        let diff = worktree.diff(&base)?;
        if diff.files.is_empty() {
            return Ok(Err("it changes nothing".into()));
        }
        let texts = diff.files.iter().map(|file| {
            let text = |bytes: Result<Vec<u8>, SandboxError>| String::from_utf8(bytes.ok()?).ok();
            let before = text(context.mirror.read(&context.commit, &file.old_path, MOST_FILE));
            (file.path.to_string(), before, text(worktree.read(&file.path, MOST_FILE)))
        });
        let texts = texts.collect();
        worktree.revert(patch).map_err(Error::from)?;
        let tree_after_revert = worktree.tree_hash()?;
        worktree.apply(patch).map_err(Error::from)?;
        let revert_proof = backtrail_policy::RevertProof { tree_before: before, tree_after_revert };
        Ok(Ok(Applied { worktree, patch: patch.to_vec(), diff, texts, tree, revert_proof, _folder: folder }))
    }

    /// Asks the policy about a patch before anything of it runs.
    pub fn screen(&self, context: &Context, candidate: &Candidate, applied: &Applied, owners: &[String]) -> Judged {
        self.judge(&self.input(context, candidate, applied, owners, None))
    }

    fn judge(&self, input: &Input) -> Judged {
        // What is kept is what was asked: a text in it that holds a secret is replaced before both.
        let asked = redaction::document(&self.redactor, serde_json::to_value(input).unwrap_or_default());
        let bytes = serde_json::to_vec_pretty(&asked).unwrap_or_default();
        Judged { decision: self.policy.decide(&asked), input: bytes }
    }

    fn input(
        &self,
        context: &Context,
        candidate: &Candidate,
        applied: &Applied,
        owners: &[String],
        evidence: Option<&Evidence>,
    ) -> Input {
        let Context { request, mapping, commit, .. } = context;
        let proposal = &candidate.proposal;
        let changed = applied.changed();
        let budget = &request.budget;
        let nothing = || backtrail_policy::Sandbox { isolated: Vec::new(), not_isolated: Vec::new() };
        Input {
            stage: if evidence.is_some() { Stage::AfterTests } else { Stage::BeforeTests },
            request: backtrail_policy::Request {
                id: request.id.clone(),
                incident: request.suspect_ref.incident_key.clone(),
                service: request.suspect_ref.entity.service.clone(),
                confidence: request.suspect_ref.score,
            },
            owner: backtrail_policy::Owner {
                repository: mapping.repository.clone(),
                path_prefix: mapping.path_prefix.clone(),
                team: mapping.team.clone(),
                owners: owners.to_vec(),
            },
            patch: facts::patch(proposal, &mapping.repository, commit),
            diff: facts::diff(&applied.patch, &digest(&applied.patch), &applied.diff, &changed),
            code: facts::code(proposal, &changed, &context.sources, &self.redactor),
            tests: evidence.map(|evidence| evidence.tests(&changed)),
            contracts: contracts::compared(&changed, &request.suspect_ref.entity.service),
            golden: backtrail_policy::Golden { assertions_added: 0 },
            observability: facts::observability(proposal, &required(proposal), &changed),
            revert_proof: evidence.map(|_| applied.revert_proof.clone()),
            sandbox: evidence.map_or_else(nothing, Evidence::isolation),
            limits: backtrail_policy::Limits {
                max_lines: u64::from(budget.max_lines),
                max_files: u64::from(budget.max_files),
                max_functions: MOST_FUNCTIONS,
            },
        }
    }

    fn checkout(&self, context: &Context) -> Result<(tempfile::TempDir, Worktree), Error> {
        let folder = tempfile::tempdir_in(&self.scratch).during("create a folder in", &self.scratch)?;
        let checkout = Worktree::checkout(&context.mirror, &context.commit, &folder.path().join("tree"))?;
        Ok((folder, checkout.worktree))
    }
}

/// Removes what processes that are no more have left.
fn sweep(scratches: &Path) {
    for entry in std::fs::read_dir(scratches).into_iter().flatten().flatten() {
        let of_the_living = entry.file_name().to_str().is_some_and(|pid| Path::new("/proc").join(pid).exists());
        if !of_the_living && let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "an old working folder is not removed");
        }
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

impl Applied {
    /// Paths of the files that it touches.
    pub fn paths(&self) -> Vec<String> {
        self.diff.files.iter().map(|file| file.path.to_string()).collect()
    }

    /// Lines added and removed.
    pub fn lines(&self) -> u64 {
        self.diff.files.iter().map(|file| file.added + file.removed).sum()
    }

    /// Texts of the files with it, by their paths.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().filter_map(|(path, _, after)| Some((path.as_str(), after.as_deref()?)))
    }

    fn changed(&self) -> Vec<Changed<'_>> {
        let files = self.diff.files.iter().zip(&self.texts);
        files
            .map(|(change, (path, before, after))| Changed {
                change,
                path: path.clone(),
                before: before.clone(),
                after: after.clone(),
            })
            .collect()
    }
}

/// Span attributes that a change of code must set: the flag, so that both paths can be told apart in telemetry.
fn required(proposal: &Proposal) -> Vec<String> {
    if proposal.flag.is_empty() { Vec::new() } else { vec!["feature_flag.key".into()] }
}

/// Who owns what a candidate changes: for each file CODEOWNERS' word, the team where it is silent.
pub fn owners(ownership: &Ownership, service: &str, team: &str, files: &[String]) -> Vec<String> {
    let mut owners: Vec<String> = Vec::new();
    for file in files {
        let named = ownership.owners(service, file);
        let of_file: Vec<&str> = if named.is_empty() { vec![team] } else { named };
        for owner in of_file.into_iter().filter(|owner| !owner.is_empty()) {
            if !owners.iter().any(|known| known == owner) {
                owners.push(owner.to_owned());
            }
        }
    }
    owners
}
