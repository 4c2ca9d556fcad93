//! Whatever is accepted as a NAR is written back to the same bytes, and pieces make no difference.
#![no_main]

use formats::nar::{Error, Event, Limits, ListingBuilder, Reader, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|nar: &[u8]| {
    let whole = rewrite(nar, nar.len().max(1));
    assert_eq!(whole, rewrite(nar, nar.len() % 23 + 1));
    if let Ok(written) = whole {
        assert_eq!(written, nar);
    }
});

fn rewrite(nar: &[u8], piece: usize) -> Result<Vec<u8>, Error> {
    let mut reader = Reader::new(Limits { name: 255, target: 4096, depth: 64 });
    let mut listing = ListingBuilder::new();
    let mut writer = Writer::new();
    let (mut depth, mut size) = (0, 0);
    writer.begin();
    for piece in nar.chunks(piece) {
        reader.push(piece, &mut |event| {
            listing.push(event);
            match event {
                Event::Directory => {
                    writer.directory_begin();
                    depth += 1;
                }
                Event::Entry { name } => writer.entry_begin(name),
                Event::EndDirectory => {
                    writer.directory_end();
                    depth -= 1;
                }
                Event::Regular { executable, size: of_file, offset } => {
                    writer.regular_begin(executable, of_file);
                    assert_eq!(writer.as_bytes().len() as u64, offset);
                    size = of_file;
                }
                Event::Contents(bytes) => writer.contents(bytes),
                Event::EndRegular => writer.regular_end(size),
                Event::Symlink { target } => writer.symlink(target),
            }
            if depth > 0 && matches!(event, Event::EndDirectory | Event::EndRegular | Event::Symlink { .. }) {
                writer.entry_end();
            }
        })?;
    }
    reader.finish()?;
    if let Some(listing) = listing.finish() {
        listing.render();
    }
    Ok(writer.take())
}
