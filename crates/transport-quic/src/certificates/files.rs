//! PEM files on disk.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::CertificateError;

/// Who may read a file.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Everyone,
    OwnerOnly,
}

pub(super) fn read(path: &Path) -> Result<String, CertificateError> {
    fs::read_to_string(path).map_err(|error| CertificateError::Read {
        path: path.to_owned(),
        error,
    })
}

pub(super) fn make_directory(path: &Path) -> Result<(), CertificateError> {
    fs::create_dir_all(path).map_err(|error| CertificateError::Write {
        path: path.to_owned(),
        error,
    })
}

/// Writes a file that must not exist yet: a key that was overwritten is gone.
pub(super) fn write_new(path: &Path, text: &str, access: Access) -> Result<(), CertificateError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    restrict(&mut options, access);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => CertificateError::Exists {
            path: path.to_owned(),
        },
        _ => CertificateError::Write {
            path: path.to_owned(),
            error,
        },
    })
}

#[cfg(unix)]
fn restrict(options: &mut OpenOptions, access: Access) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(match access {
        Access::Everyone => 0o644,
        Access::OwnerOnly => 0o600,
    });
}

#[cfg(not(unix))]
fn restrict(_options: &mut OpenOptions, _access: Access) {}
