//! Backups: keys and values, kept as chunks that backups share.
//!
//! An [`Archive`] is a folder. What is put into a backup, in the order of its keys, is cut into chunks where the keys say
//! so, and each chunk lies in a file named after its content. A later backup of nearly the same content is therefore
//! nearly all there already. The cut follows W. Xia et al., "FastCDC" (USENIX ATC 2016) in spirit: it depends on what is
//! next to it and on nothing before, here on the hash of a key. The bytes are drawn in `docs/format.md`.

mod chunk;
mod error;
mod manifest;
mod writer;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub use self::chunk::{encode_item, visit_items};
pub use self::error::ArchiveError;
pub use self::manifest::Manifest;
pub use self::writer::{ArchiveWriter, Written};
use crate::lock::DirLock;
use crate::table::Visitor;

const CHUNKS: &str = "chunks";
/// What a backup's file is called after its name.
const MANIFEST: &str = ".backup";
/// What is being written has a name that ends like this until it is whole.
const UNFINISHED: &str = ".unfinished";
/// The longest name of a backup.
pub const NAME_BYTES_MAX: usize = 100;

/// A folder of backups. One process at a time has it open.
#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
    _lock: DirLock,
}

impl Archive {
    /// Opens a folder of backups, or makes an empty one.
    ///
    /// # Errors
    /// The folder cannot be made, holds something else, or another process has it.
    pub fn create(folder: &Path) -> Result<Archive, ArchiveError> {
        if folder.exists() && !folder.join(CHUNKS).is_dir() && !is_empty(folder)? {
            return Err(ArchiveError::NotAnArchive {
                folder: folder.display().to_string(),
            });
        }
        fs::create_dir_all(folder.join(CHUNKS))
            .map_err(|source| ArchiveError::io("create", folder, source))?;
        Archive::open(folder)
    }

    /// Opens a folder of backups.
    ///
    /// # Errors
    /// It is none, or another process has it.
    pub fn open(folder: &Path) -> Result<Archive, ArchiveError> {
        if !folder.join(CHUNKS).is_dir() {
            return Err(ArchiveError::NotAnArchive {
                folder: folder.display().to_string(),
            });
        }
        let lock = DirLock::acquire(folder)?;
        Ok(Archive {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// The names of all backups, in order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, ArchiveError> {
        let mut names: Vec<String> = names_in(&self.folder)?
            .into_iter()
            .filter_map(|name| name.strip_suffix(MANIFEST).map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// What a backup says of itself.
    ///
    /// # Errors
    /// There is none of this name, or its file is damaged or of a newer format.
    pub fn manifest(&self, name: &str) -> Result<Manifest, ArchiveError> {
        let path = self.manifest_path(name)?;
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ArchiveError::NoSuchBackup {
                name: name.to_owned(),
                folder: self.folder.display().to_string(),
            },
            _ => ArchiveError::io("read", &path, source),
        })?;
        Manifest::decode(&bytes, &path.display().to_string())
    }

    /// Begins a backup. Nothing of it counts before [`ArchiveWriter::finish`].
    ///
    /// # Errors
    /// What an earlier one left unfinished cannot be removed.
    pub fn begin(&self) -> Result<ArchiveWriter<'_>, ArchiveError> {
        self.remove_unfinished()?;
        Ok(ArchiveWriter::new(self))
    }

    /// Visits every key of a backup with its value, in order, until the visitor breaks. Each chunk is checked before any of
    /// it is shown, and so is their number.
    ///
    /// # Errors
    /// The backup or a chunk of it is missing or damaged; what was visited before is right.
    pub fn read(&self, name: &str, visit: &mut Visitor<'_>) -> Result<Manifest, ArchiveError> {
        let manifest = self.manifest(name)?;
        for chunk in &manifest.chunks {
            let path = self.chunk_path(chunk.hash);
            let items = chunk::load(&path, chunk)?;
            let place = path.display().to_string();
            if visit_items(&items, visit).map_err(|reason| ArchiveError::damaged(&place, reason))?
                == ControlFlow::Break(())
            {
                break;
            }
        }
        Ok(manifest)
    }

    /// Reads all of a backup, and checks it against what it says of itself.
    ///
    /// # Errors
    /// As [`read`](Self::read); or it has more or less than it says.
    pub fn verify(&self, name: &str) -> Result<Manifest, ArchiveError> {
        let (mut items, mut bytes) = (0, 0);
        let manifest = self.read(name, &mut |key, value| {
            items += 1;
            bytes += (key.len() + value.len()) as u64;
            ControlFlow::Continue(())
        })?;
        if (items, bytes) != (manifest.items, manifest.bytes) {
            let place = self.manifest_path(name)?.display().to_string();
            let reason = format!(
                "it says {} keys of {} bytes, its chunks have {items} of {bytes}",
                manifest.items, manifest.bytes
            );
            return Err(ArchiveError::damaged(&place, reason));
        }
        Ok(manifest)
    }

    /// Removes a backup, and the chunks that no other one needs; answers the bytes that became free.
    ///
    /// # Errors
    /// There is none of this name. Or another one cannot be read: then nobody knows which chunks it needs, and only the
    /// name is gone.
    pub fn remove(&self, name: &str) -> Result<u64, ArchiveError> {
        let path = self.manifest_path(name)?;
        if !path.exists() {
            return Err(ArchiveError::NoSuchBackup {
                name: name.to_owned(),
                folder: self.folder.display().to_string(),
            });
        }
        fs::remove_file(&path).map_err(|source| ArchiveError::io("remove", &path, source))?;
        sync_folder(&self.folder)?;
        self.sweep()
    }

    /// Removes the chunks that no backup needs.
    fn sweep(&self) -> Result<u64, ArchiveError> {
        let mut needed = BTreeSet::new();
        for name in self.names()? {
            let manifest = self.manifest(&name)?;
            needed.extend(manifest.chunks.iter().map(|chunk| chunk.hash));
        }
        let (folder, mut freed) = (self.folder.join(CHUNKS), 0);
        for name in names_in(&folder)? {
            let path = folder.join(&name);
            match u128::from_str_radix(&name, 16) {
                Ok(hash) if !needed.contains(&hash) => {
                    freed += path.metadata().map_or(0, |data| data.len());
                    fs::remove_file(&path)
                        .map_err(|source| ArchiveError::io("remove", &path, source))?;
                }
                _ => {}
            }
        }
        Ok(freed)
    }

    fn remove_unfinished(&self) -> Result<(), ArchiveError> {
        for folder in [self.folder.clone(), self.folder.join(CHUNKS)] {
            for name in names_in(&folder)? {
                if name.ends_with(UNFINISHED) {
                    let path = folder.join(&name);
                    fs::remove_file(&path)
                        .map_err(|source| ArchiveError::io("remove", &path, source))?;
                }
            }
        }
        Ok(())
    }

    fn manifest_path(&self, name: &str) -> Result<PathBuf, ArchiveError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
        let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(allowed)
            && !name.starts_with('.');
        match is_name {
            true => Ok(self.folder.join(format!("{name}{MANIFEST}"))),
            false => Err(ArchiveError::Name {
                name: name.to_owned(),
            }),
        }
    }

    fn chunk_path(&self, hash: u128) -> PathBuf {
        self.folder.join(CHUNKS).join(format!("{hash:032x}"))
    }
}

fn names_in(folder: &Path) -> Result<Vec<String>, ArchiveError> {
    let failed = |source| ArchiveError::io("list", folder, source);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

fn is_empty(folder: &Path) -> Result<bool, ArchiveError> {
    Ok(names_in(folder)?.is_empty())
}

/// Writes a file so that it is there whole or not at all; its name is durable after [`sync_folder`].
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ArchiveError> {
    use std::io::Write;
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    let failed = |source| ArchiveError::io("write", path, source);
    let mut file = fs::File::create(&unfinished).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)
}

fn sync_folder(folder: &Path) -> Result<(), ArchiveError> {
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| ArchiveError::io("sync", folder, source))
}
