//! Checks that are made before `gimli` reads a table. The length is checked, since many units can ask for the same
//! bytes. Each directory and file of a line program must take at least one byte: the format allows empty entries, and a
//! few bytes could then ask for any number of them.

use gimli::{DwForm, EndianSlice, Format, LittleEndian, Reader as _, Result, constants};

type Slice<'data> = EndianSlice<'data, LittleEndian>;

/// The length of the line program that starts `section`, with its header.
pub(super) fn line_program_len(section: Slice<'_>) -> Result<u64> {
    let mut input = section;
    let (unit_bytes, format) = input.read_initial_length()?;
    Ok(input.split(unit_bytes)?.len() as u64 + u64::from(format.initial_length_size()))
}

/// Whether the tables of the line program that starts `section` are such as a compiler writes: an error where not.
pub(super) fn check_line_program(section: Slice<'_>) -> Result<()> {
    let mut input = section;
    let (unit_bytes, format) = input.read_initial_length()?;
    let mut input = input.split(unit_bytes)?;
    if input.read_u16()? < 5 {
        // Tables of strings, which end with an empty one.
        return Ok(());
    }
    // Address and segment sizes; the header's length; five values of a byte each.
    input.skip(2 + usize::from(format.word_size()) + 5)?;
    let opcode_base = input.read_u8()?;
    input.skip(usize::from(opcode_base).saturating_sub(1))?;
    for _ in ["directories", "files"] {
        let forms = entry_forms(&mut input)?;
        for _ in 0..input.read_uleb128()? {
            for &form in &forms {
                skip(&mut input, form, format)?;
            }
        }
    }
    Ok(())
}

/// The length of the table of abbreviations that starts `section`, or of its part that can be read.
pub(super) fn abbreviations_len(section: Slice<'_>) -> u64 {
    let mut input = section;
    let mut read = || -> Result<()> {
        while !input.is_empty() && input.read_uleb128()? != 0 {
            input.skip_leb128()?;
            input.skip(1)?;
            loop {
                let name = input.read_uleb128()?;
                let form = input.read_uleb128()?;
                if form == u64::from(constants::DW_FORM_implicit_const.0) {
                    input.skip_leb128()?;
                }
                if (name, form) == (0, 0) {
                    break;
                }
            }
        }
        Ok(())
    };
    // The reader proper meets the same error.
    let _ = read();
    (section.len() - input.len()) as u64
}

/// The forms of an entry's values.
fn entry_forms(input: &mut Slice<'_>) -> Result<Vec<DwForm>> {
    let count = input.read_u8()?;
    let mut forms = Vec::with_capacity(count.into());
    let mut has_path = false;
    for _ in 0..count {
        has_path |= input.read_uleb128()? == u64::from(constants::DW_LNCT_path.0);
        forms.push(DwForm(input.read_uleb128_u16()?));
    }
    if has_path { Ok(forms) } else { Err(gimli::Error::MissingFileEntryFormatPath) }
}

/// Skips a value, which takes at least a byte.
fn skip(input: &mut Slice<'_>, form: DwForm, format: Format) -> Result<()> {
    match form {
        constants::DW_FORM_string => input.read_null_terminated_slice().map(drop),
        constants::DW_FORM_line_strp | constants::DW_FORM_strp | constants::DW_FORM_sec_offset => {
            input.skip(format.word_size().into())
        }
        constants::DW_FORM_udata | constants::DW_FORM_strx => input.read_uleb128().map(drop),
        constants::DW_FORM_data1 | constants::DW_FORM_strx1 => input.skip(1),
        constants::DW_FORM_data2 | constants::DW_FORM_strx2 => input.skip(2),
        constants::DW_FORM_strx3 => input.skip(3),
        constants::DW_FORM_data4 | constants::DW_FORM_strx4 => input.skip(4),
        constants::DW_FORM_data8 => input.skip(8),
        constants::DW_FORM_data16 => input.skip(16),
        constants::DW_FORM_block => {
            let len = input.read_uleb128()?;
            input.skip(usize::try_from(len).map_err(|_| gimli::Error::UnsupportedOffset)?)
        }
        _ => Err(gimli::Error::UnknownForm(form)),
    }
}
