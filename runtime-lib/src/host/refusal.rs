//! The end of a process that cannot have what it was granted: in come the grant and the error; out come a line on
//! standard error and the exit code.

use wasmelt_abi::trap::START_FAILED_EXIT_CODE;

use crate::report::Report;
use crate::sys::Stream;
use crate::sys::errno::Errno;

/// Says what could not be opened, and ends the process.
#[cold]
pub(super) fn fail(what: &str, host: &[u8], error: Errno) -> ! {
    let mut report = Report::new(Stream::Error);
    report.failure().text("cannot open granted ").text(what).text(" '").bytes(host).text("': ").bytes(describe(error));
    report.exit(START_FAILED_EXIT_CODE)
}

/// The words for an error of opening or writing.
pub(crate) fn describe(error: Errno) -> &'static [u8] {
    // One string, because a table of strings would need relocations in a position-independent executable.
    const WORDS: &[u8] = b"\x2cno such file or directory\0\x02permission denied\0\x36not a directory\0\
        \x20too many levels of symbolic links\0\x25file name too long\0\x21too many open files\0\
        \x29too many open files in system\0\x3foperation not permitted\0";
    for entry in WORDS.split(|&b| b == 0) {
        if let Some((&number, words)) = entry.split_first()
            && number == error as u8
        {
            return words;
        }
    }
    b"the operating system refused"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_words() {
        let of = |error| std::str::from_utf8(describe(error)).unwrap();
        assert_eq!(of(Errno::Noent), "no such file or directory");
        assert_eq!(of(Errno::Acces), "permission denied");
        assert_eq!(of(Errno::Notdir), "not a directory");
        assert_eq!(of(Errno::Loop), "too many levels of symbolic links");
        assert_eq!(of(Errno::Nametoolong), "file name too long");
        assert_eq!(of(Errno::Mfile), "too many open files");
        assert_eq!(of(Errno::Nfile), "too many open files in system");
        assert_eq!(of(Errno::Perm), "operation not permitted");
        assert_eq!(of(Errno::Io), "the operating system refused");
    }
}
