//! Names and publishing of files.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use backtrail_model::time::{Slice, SliceGrid, UnixNano};
use backtrail_pipeline::Context;
use backtrail_store::StoreError;
use backtrail_store::{Partition, Stamp, Table, TableWriter, file_name, remove_leftovers, staging_dir, table_dir};
use std::collections::HashSet;

/// Where files are made and where they go.
pub(super) struct Files {
    base: PathBuf,
    staging: PathBuf,
    instance: String,
    stamp: Stamp,
    grid: SliceGrid,
    /// In a replay the same file comes again with the same bytes, and then takes its own place.
    replay: bool,
    published: HashSet<PathBuf>,
    begun: u64,
    cx: Context,
}

impl Files {
    pub(super) fn new(base: PathBuf, instance: &str, cx: &Context) -> Self {
        Self {
            staging: staging_dir(&base, instance, cx.node()),
            base,
            instance: instance.to_owned(),
            stamp: Stamp {
                engine_version: env!("CARGO_PKG_VERSION").to_owned(),
                config_digest: cx.shared().config_digest.clone(),
            },
            grid: cx.grid(),
            replay: cx.shared().clock().is_virtual(),
            published: HashSet::new(),
            begun: 0,
            cx: cx.clone(),
        }
    }

    /// Removes what a kill left behind.
    pub(super) fn start(&self) -> Result<(), StoreError> {
        let removed = remove_leftovers(&self.staging)?;
        self.cx.stats().note("leftovers_removed", removed);
        fs::create_dir_all(&self.staging).map_err(|source| StoreError::Io {
            action: "create",
            path: self.staging.clone(),
            source,
        })
    }

    /// Begins a file that nothing sees yet.
    pub(super) fn begin(&mut self, table: &'static Table) -> Result<TableWriter, StoreError> {
        self.begun += 1;
        TableWriter::create(table, self.staging.join(format!("{}-{}.parquet", table.name, self.begun)), &self.stamp)
    }

    /// Ends a file and puts it into its place: `<instance>-<first slice>-<n>.parquet` with the first `n` that is free.
    pub(super) fn publish(
        &mut self,
        table: &'static Table,
        partition: Partition,
        first: UnixNano,
        writer: TableWriter,
    ) -> Result<(), StoreError> {
        let (rows, staged) = (writer.rows(), writer.finish()?);
        let dir = table_dir(&self.base, table.name).join(partition.path());
        let to = self.free_name(&dir, self.grid.slice(first), staged.path());
        staged.publish(&to)?;
        tracing::debug!(node = self.cx.node(), file = %to.display(), rows, "published");
        self.published.insert(to);
        Ok(())
    }

    fn free_name(&self, dir: &Path, first: Slice, staged: &Path) -> PathBuf {
        let mut n = 0;
        loop {
            let path = dir.join(file_name(&self.instance, first, n));
            let again = self.replay && !self.published.contains(&path);
            if !path.exists() || (again && same_bytes(&path, staged)) {
                return path;
            }
            n += 1;
        }
    }
}

fn same_bytes(a: &Path, b: &Path) -> bool {
    let length = |path| fs::metadata(path).map(|metadata| metadata.len()).ok();
    if length(a).is_none() || length(a) != length(b) {
        return false;
    }
    let (Ok(mut a), Ok(mut b)) = (fs::File::open(a), fs::File::open(b)) else { return false };
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        match a.read(&mut left) {
            Ok(0) => return true,
            Ok(n) if b.read_exact(&mut right[..n]).is_ok() && left[..n] == right[..n] => {}
            _ => return false,
        }
    }
}
