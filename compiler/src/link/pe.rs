//! Executables and libraries of Windows after linking. A linker that keeps debug information (`-g`) also names a file
//! with a copy of that information, a "program database", with a number that follows from the linker's folder. That
//! file was temporary. So the reference to the file is removed: no debugger looks for it, and same input gives same
//! bytes.

use object::LittleEndian as LE;
use object::pe::{IMAGE_DIRECTORY_ENTRY_DEBUG, ImageDebugDirectory};
use object::read::pe::PeFile64;

use crate::error::{Error, Result};

/// Zeroes the list of files with debug information (`IMAGE_DIRECTORY_ENTRY_DEBUG`) and all that it refers to.
pub(super) fn forget_program_database(file: &mut [u8]) -> Result<()> {
    let damaged = |e: object::Error| Error::link(format!("the linker's output cannot be read: {e}"));
    let mut places = Vec::new();
    {
        let bytes: &[u8] = file;
        let pe = PeFile64::parse(bytes).map_err(damaged)?;
        let Some(directory) = pe.data_directory(IMAGE_DIRECTORY_ENTRY_DEBUG) else { return Ok(()) };
        // The entry is a part of the file that was read: this is where.
        let entry = std::ptr::from_ref(directory).addr() - bytes.as_ptr().addr();
        places.push((entry, size_of_val(directory)));
        let (start, len) = directory.file_range(&pe.section_table()).map_err(damaged)?;
        let entries = bytes.get(start as usize..).and_then(|bytes| bytes.get(..len as usize)).unwrap_or_default();
        places.push((start as usize, entries.len()));
        let count = entries.len() / size_of::<ImageDebugDirectory>();
        let (entries, _) = object::slice_from_bytes::<ImageDebugDirectory>(entries, count).unwrap_or_default();
        for entry in entries {
            places.push((entry.pointer_to_raw_data.get(LE) as usize, entry.size_of_data.get(LE) as usize));
        }
    }
    for (start, len) in places {
        let end = start.saturating_add(len);
        file.get_mut(start..end)
            .ok_or_else(|| Error::link("the linker's output refers to what lies behind its end"))?
            .fill(0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_errors() {
        assert!(forget_program_database(&mut []).is_err());
        assert!(forget_program_database(&mut [b'M', b'Z', 0, 0]).is_err());
    }
}
