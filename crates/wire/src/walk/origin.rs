//! Origins: the resource and scope of each `ScopeSpans`, cached across batches, because senders repeat them for ever.

use std::hash::BuildHasher;
use std::sync::Arc;

use backtrail_model::span::{AttributeValue, Origin};
use backtrail_model::{Symbol, SymbolKind};
use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::intern::Interner;
use super::keys::{self, WalkSpec};
use super::value::{self, Scalar};
use crate::check;
use crate::error::Broken;
use crate::proto::{Cursor, LEN, MAX_DEPTH, key};
use crate::schema;

/// What stands for a missing `service.name`, as the semantic conventions say.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// How many resources and how many origins a worker remembers. A full cache is emptied: rebuilding costs microseconds,
/// and tracking use would cost every batch.
const CACHED: usize = 4096;

/// What is read from a resource once.
pub(super) struct Resource {
    hash: u64,
    bytes: Bytes,
    pub(super) service: Symbol,
    instance: Symbol,
    namespace: Arc<str>,
    version: Arc<str>,
    revision: Arc<str>,
    slots: Vec<Option<AttributeValue>>,
}

/// The two caches.
pub(super) struct Origins {
    state: FixedState,
    resources: HashMap<u64, Arc<Resource>, FixedState>,
    built: HashMap<u64, Arc<Origin>, FixedState>,
}

impl Origins {
    pub(super) fn new() -> Self {
        // A fixed seed: equal origins have equal hashes in every worker and every run.
        let state = FixedState::with_seed(0x6F72_6967);
        Self { resources: HashMap::with_hasher(state.clone()), built: HashMap::with_hasher(state.clone()), state }
    }

    /// The resource whose `ResourceSpans` or `ResourceLogs` fields (scopes left out) are `fields`. Those may be a copy,
    /// so an error's address means nothing: the caller finds the place again.
    pub(super) fn resource(
        &mut self,
        fields: &[u8],
        spec: &WalkSpec,
        interner: &mut Interner,
    ) -> Result<Arc<Resource>, Broken> {
        let hash = self.state.hash_one(fields);
        if let Some(found) = self.resources.get(&hash)
            && *found.bytes == *fields
        {
            return Ok(Arc::clone(found));
        }
        let resource = Arc::new(read_resource(hash, fields, spec, interner)?);
        if self.resources.len() >= CACHED {
            self.resources.clear();
        }
        self.resources.insert(hash, Arc::clone(&resource));
        Ok(resource)
    }

    /// The origin of this resource and the `ScopeSpans` or `ScopeLogs` fields (items left out) `scope`; errors as above.
    pub(super) fn origin(&mut self, resource: &Resource, scope: &[u8]) -> Result<Arc<Origin>, Broken> {
        let hash = resource.hash.rotate_left(17).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.state.hash_one(scope);
        if let Some(found) = self.built.get(&hash)
            && found.resource == resource.bytes
            && *found.scope == *scope
        {
            return Ok(Arc::clone(found));
        }
        check::message::<false>(&schema::SCOPE_SPANS, scope, MAX_DEPTH - 2)?;
        let origin = Arc::new(Origin {
            hash,
            resource: resource.bytes.clone(),
            scope: Bytes::copy_from_slice(scope),
            service: resource.service,
            instance: resource.instance,
            namespace: Arc::clone(&resource.namespace),
            version: Arc::clone(&resource.version),
            revision: Arc::clone(&resource.revision),
            slots: resource.slots.clone(),
        });
        if self.built.len() >= CACHED {
            self.built.clear();
        }
        self.built.insert(hash, Arc::clone(&origin));
        Ok(origin)
    }
}

/// Attributes of a resource that have a field of their own, best name first within each field.
#[derive(Default)]
struct Named<'a> {
    service: &'a [u8],
    namespace: &'a [u8],
    version: &'a [u8],
    instance: [&'a [u8]; 3],
    revision: [&'a [u8]; 2],
}

impl<'a> Named<'a> {
    fn set(&mut self, key: &[u8], value: Scalar<'a>) {
        let text = match value {
            Scalar::Str(text) => text,
            Scalar::Absent => return,
            // As everywhere, the last of equal keys wins, and a name that is no string is no name.
            _ => &[],
        };
        let field = match key {
            b"service.name" => &mut self.service,
            b"service.namespace" => &mut self.namespace,
            b"service.version" => &mut self.version,
            b"k8s.pod.name" => &mut self.instance[0],
            b"service.instance.id" => &mut self.instance[1],
            b"host.name" => &mut self.instance[2],
            b"vcs.ref.head.revision" => &mut self.revision[0],
            b"vcs.repository.ref.revision" => &mut self.revision[1],
            _ => return,
        };
        *field = text;
    }
}

fn read_resource(hash: u64, fields: &[u8], spec: &WalkSpec, interner: &mut Interner) -> Result<Resource, Broken> {
    let mut named = Named::default();
    let mut slots = vec![None; spec.len()];
    let mut cursor = Cursor::new(fields);
    while let Some(field) = cursor.key()? {
        // A resource that is split in two is one resource: attributes add up.
        if field == key(1, LEN) {
            read_attributes(cursor.bytes()?, |name, value| {
                named.set(name, value);
                if let Some(value) = value.owned() {
                    spec.columns(name, keys::hash(name), |column| slots[column] = Some(value.clone()));
                }
            })?;
        } else {
            check::field::<false>(&schema::RESOURCE_SPANS, field, &mut cursor, MAX_DEPTH - 1)?;
        }
    }
    let first = |names: &[&'_ [u8]]| names.iter().position(|name| !name.is_empty()).unwrap_or(0);
    let service = if named.service.is_empty() { UNKNOWN_SERVICE.as_bytes() } else { named.service };
    let owned = |text: &[u8]| -> Arc<str> { String::from_utf8_lossy(text).into() };
    Ok(Resource {
        hash,
        bytes: Bytes::copy_from_slice(fields),
        service: interner.intern(SymbolKind::Service, service),
        instance: interner.intern(SymbolKind::Instance, named.instance[first(&named.instance)]),
        namespace: owned(named.namespace),
        version: owned(named.version),
        revision: owned(named.revision[first(&named.revision)]),
        slots,
    })
}

fn read_attributes<'a>(resource: &'a [u8], mut found: impl FnMut(&'a [u8], Scalar<'a>)) -> Result<(), Broken> {
    let mut cursor = Cursor::new(resource);
    while let Some(field) = cursor.key()? {
        if field == key(1, LEN) {
            let (name, value) = value::key_value(cursor.bytes()?, MAX_DEPTH - 3)?;
            found(name, value);
        } else {
            check::field::<false>(&schema::RESOURCE, field, &mut cursor, MAX_DEPTH - 2)?;
        }
    }
    Ok(())
}
