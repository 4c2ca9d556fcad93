//! What paths leave behind: uploads, documents, NARs and chunks.

use std::time::Duration;

use formats::FileHash;
use protocol::Timestamp;

use crate::{
    CacheId, ChunkId, ChunkPointer, Commit, CommitError, DocumentAge, DocumentKind, NarId, NewDocument, NewUpload,
    PackId, UploadAge, Watermark,
    conformance::{
        Subject,
        fixtures::{
            NOW, all_of, cache, commit_one, nar, nar_hash, pack, path, path_hash, push, refused, shows, store_path,
            whole,
        },
    },
};

checks![
    nars_are_read_with_what_has_them,
    a_nar_goes_only_if_nothing_has_it,
    uploads_are_read_page_by_page,
    a_renewed_upload_stays,
    documents_are_read_page_by_page,
    a_replaced_document_stays,
    the_last_rows_are_remembered,
    ranges_leave_out_gaps_and_the_condemned,
    chunks_go_in_two_steps,
    whoever_finds_a_chunk_spares_it,
    a_commit_spares_the_chunks_that_it_names,
    chunks_that_come_again_are_spared,
    a_commit_and_a_removal_exclude_each_other,
    damaged_chunks_are_listed,
];

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn upload(cache: CacheId, nar: &str, file: &str, now: Timestamp) -> NewUpload {
    let file_hash = FileHash::digest_of(file.as_bytes());
    NewUpload { cache, file_name: file.to_owned(), nar_hash: nar_hash(nar), file_hash, file_size: 7, now }
}

/// A pack of so many chunks that nothing refers to; their rows follow each other.
async fn chunks(db: &Subject, name: &str, count: u32) -> Vec<i64> {
    let pack = pack(name, count);
    db.commit(&Commit { packs: vec![pack.clone()], ..Commit::default() }).await.unwrap();
    let hashes: Vec<_> = pack.chunks.iter().map(|chunk| chunk.hash).collect();
    let found = db.find_chunks(&hashes).await.unwrap();
    let ids: Vec<i64> = found.into_iter().map(|chunk| chunk.unwrap().id.0).collect();
    assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{ids:?}");
    ids
}

async fn condemned(db: &Subject) -> Vec<(i64, Timestamp)> {
    let rows = db.condemned_chunks(0, 1000).await.unwrap();
    rows.into_iter().map(|(chunk, at)| (chunk.0, at)).collect()
}

async fn nars_are_read_with_what_has_them(db: Subject) {
    let main = cache(&db, "main").await;
    let shown = push(&db, main, "shown").await;
    let hidden = push(&db, main, "hidden").await;
    db.quarantine_nar(hidden.id, NOW).await.unwrap();
    let mut bare = whole(main, "bare");
    bare.paths.clear();
    bare.nars[0].listing = Some(bare.nars[0].manifest.clone());
    db.commit(&bare).await.unwrap();
    let mut uploaded = whole(main, "uploaded");
    uploaded.paths.clear();
    uploaded.uploads.push(upload(main, "uploaded", "f", NOW));
    db.commit(&uploaded).await.unwrap();

    let first = db.scan_nars(None, 3).await.unwrap();
    let rest = db.scan_nars(Some(first[2].id), 3).await.unwrap();
    assert!(db.scan_nars(Some(rest[0].id), 3).await.unwrap().is_empty());
    let rows: Vec<_> = first.into_iter().chain(rest).collect();
    let told: Vec<_> = rows.iter().map(|nar| (nar.is_used, nar.is_quarantined, nar.listing.is_some())).collect();
    let expected = [(true, false, false), (true, true, false), (false, false, true), (true, false, false)];
    assert_eq!(told, expected);
    assert_eq!((rows[0].id, &rows[0].manifest), (shown.id, &shown.manifest));
    assert_eq!(rows[2].listing.as_ref(), Some(&rows[2].manifest));
}

async fn a_nar_goes_only_if_nothing_has_it(db: Subject) {
    let main = cache(&db, "main").await;
    let shown = push(&db, main, "shown").await.id;
    for name in ["bare", "uploaded"] {
        let mut commit = whole(main, name);
        commit.paths.clear();
        if name == "uploaded" {
            commit.uploads.push(upload(main, name, "f", NOW));
        }
        db.commit(&commit).await.unwrap();
    }
    let id = async |name| db.find_nar(&nar_hash(name)).await.unwrap().map(|nar| nar.id);
    let (bare, uploaded) = (id("bare").await.unwrap(), id("uploaded").await.unwrap());
    assert_eq!(db.remove_nars(&[shown, bare, uploaded, NarId(i64::MAX)]).await.unwrap(), 1);
    assert_eq!((id("shown").await, id("bare").await, id("uploaded").await), (Some(shown), None, Some(uploaded)));
    assert!(shows(&db, main, "shown").await);
    // A path of a deleted cache still has its NAR.
    db.delete_cache(&"main".parse().unwrap(), NOW).await.unwrap();
    assert_eq!(db.remove_nars(&[shown]).await.unwrap(), 0);
    // What names a NAR that went is refused, and brings it anew.
    let other = cache(&db, "other").await;
    let commit = Commit { paths: whole(other, "bare").paths, ..Commit::default() };
    assert!(matches!(refused(&db, &commit).await, CommitError::NarGone));
    let mut again = whole(other, "bare");
    again.packs.clear();
    let chunk = db.find_chunks(&[pack("bare", 1).chunks[0].hash]).await.unwrap()[0].unwrap();
    again.nars[0].manifest = vec![ChunkPointer::Known(chunk.id)];
    commit_one(&db, &again).await;
    assert_ne!(id("bare").await.unwrap(), bare, "an id never comes to mean another row");
}

async fn uploads_are_read_page_by_page(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    let mut commit = whole(main, "x");
    for (cache, file) in [(main, "c"), (other, "b"), (main, "a"), (other, "a")] {
        commit.uploads.push(upload(cache, "x", file, NOW));
    }
    commit_one(&db, &commit).await;
    let mut rows: Vec<UploadAge> = Vec::new();
    while let page = db.scan_uploads(rows.last().map(|row| (row.cache, row.file_name.clone())), 3).await.unwrap()
        && !page.is_empty()
    {
        rows.extend(page);
    }
    let told: Vec<_> = rows.iter().map(|row| (row.cache, row.file_name.as_str(), row.is_used)).collect();
    let expected = [(main, "a", true), (main, "c", true), (other, "a", false), (other, "b", false)];
    assert_eq!(told, expected, "only `main` has a path with that NAR");
    assert!(rows.iter().all(|row| row.created_at == NOW));
}

async fn a_renewed_upload_stays(db: Subject) {
    let main = cache(&db, "main").await;
    let mut commit = whole(main, "x");
    commit.paths.clear();
    commit.uploads = vec![upload(main, "x", "a", NOW), upload(main, "x", "b", NOW)];
    db.commit(&commit).await.unwrap();
    let rows = db.scan_uploads(None, 10).await.unwrap();
    let renewed = Commit { uploads: vec![upload(main, "x", "a", after(1))], ..Commit::default() };
    db.commit(&renewed).await.unwrap();
    assert_eq!(db.remove_uploads(&rows).await.unwrap(), 1);
    assert!(db.find_upload(main, "a").await.unwrap().is_some());
    assert!(db.find_upload(main, "b").await.unwrap().is_none());
    assert_eq!(db.remove_uploads(&rows).await.unwrap(), 0);
}

async fn documents(db: &Subject, cache: CacheId, now: Timestamp, names: &[(DocumentKind, &str)]) {
    let chunk = db.find_chunks(&[pack("d", 1).chunks[0].hash]).await.unwrap()[0];
    let commit = Commit {
        packs: if chunk.is_none() { vec![pack("d", 1)] } else { Vec::new() },
        documents: names
            .iter()
            .map(|(kind, name)| NewDocument {
                cache,
                kind: *kind,
                name: (*name).to_owned(),
                manifest: chunk.map_or_else(|| all_of(&pack("d", 1)), |chunk| vec![ChunkPointer::Known(chunk.id)]),
                size: 7,
                now,
            })
            .collect(),
        ..Commit::default()
    };
    db.commit(&commit).await.unwrap();
}

async fn documents_are_read_page_by_page(db: Subject) {
    let (main, other) = (cache(&db, "main").await, cache(&db, "other").await);
    let kinds: Vec<_> = DocumentKind::ALL.into_iter().map(|kind| (kind, "n")).collect();
    documents(&db, main, NOW, &kinds).await;
    documents(&db, other, after(1), &[(DocumentKind::Log, "b"), (DocumentKind::Log, "a")]).await;
    let mut rows: Vec<DocumentAge> = Vec::new();
    while let page = db.scan_documents(rows.last().map(|row| (row.cache, row.kind, row.name.clone())), 3).await.unwrap()
        && !page.is_empty()
    {
        rows.extend(page);
    }
    let mut expected: Vec<_> = kinds.iter().map(|(kind, name)| (main, kind.as_str(), *name, NOW)).collect();
    expected.sort_unstable();
    expected.extend([(other, "log", "a", after(1)), (other, "log", "b", after(1))]);
    let told: Vec<_> =
        rows.iter().map(|row| (row.cache, row.kind.as_str(), row.name.as_str(), row.created_at)).collect();
    assert_eq!(told, expected);
    let found = db.find_document(main, DocumentKind::Log, "n").await.unwrap().unwrap();
    assert!(rows.iter().all(|row| row.manifest == found.manifest));
}

async fn a_replaced_document_stays(db: Subject) {
    let main = cache(&db, "main").await;
    documents(&db, main, NOW, &[(DocumentKind::Log, "a"), (DocumentKind::Log, "b")]).await;
    let rows = db.scan_documents(None, 10).await.unwrap();
    documents(&db, main, after(1), &[(DocumentKind::Log, "a")]).await;
    assert_eq!(db.remove_documents(&rows).await.unwrap(), 1);
    assert!(db.find_document(main, DocumentKind::Log, "a").await.unwrap().is_some());
    assert!(db.find_document(main, DocumentKind::Log, "b").await.unwrap().is_none());
    assert_eq!(db.time_of_document("main", "log", "a").await.unwrap(), Some(after(1)));
    assert_eq!(db.time_of_document("main", "log", "b").await.unwrap(), None);
    assert_eq!(db.time_of_document("other", "log", "a").await.unwrap(), None);
}

async fn the_last_rows_are_remembered(db: Subject) {
    assert_eq!(db.last_rows().await.unwrap(), Watermark::default());
    assert_eq!(db.watermark_at(NOW).await.unwrap(), Watermark::default());
    let mut marks = Vec::new();
    for at in 0..3 {
        let ids = chunks(&db, &format!("p{at}"), 4).await;
        let mark = db.last_rows().await.unwrap();
        assert_eq!(mark.chunk, ids[3]);
        assert_eq!(db.scan_packs(None, 10).await.unwrap().last().unwrap().id, PackId(mark.pack));
        db.note_watermark(mark, after(10 * at)).await.unwrap();
        marks.push(mark);
    }
    // Two rounds in one second: the earlier one is the careful one.
    db.note_watermark(Watermark { chunk: i64::MAX, pack: i64::MAX }, after(20)).await.unwrap();
    assert_eq!(db.watermark_at(Timestamp(NOW.0 - 1)).await.unwrap(), Watermark::default());
    assert_eq!(db.watermark_at(after(9)).await.unwrap(), marks[0]);
    assert_eq!(db.watermark_at(after(19)).await.unwrap(), marks[1]);
    assert_eq!(db.watermark_at(after(9)).await.unwrap(), Watermark::default(), "from long before");
    assert_eq!(db.watermark_at(after(99)).await.unwrap(), marks[2]);
}

async fn ranges_leave_out_gaps_and_the_condemned(db: Subject) {
    let ids = chunks(&db, "p", 20).await;
    let at = |place: usize| ids[place];
    assert_eq!(db.scan_chunks(0, i64::MAX, 100).await.unwrap(), [(at(0), at(19))]);
    assert_eq!(db.condemn_chunks(&[(at(3), at(5)), (at(10), at(10))], NOW).await.unwrap(), 4);
    assert_eq!(db.remove_chunks(&[(at(10), at(10))], NOW).await.unwrap(), 1);
    let all = [(at(0), at(2)), (at(6), at(9)), (at(11), at(19))];
    assert_eq!(db.scan_chunks(0, i64::MAX, 100).await.unwrap(), all);
    assert_eq!(db.scan_chunks(at(1), at(12), 100).await.unwrap(), [(at(2), at(2)), (at(6), at(9)), (at(11), at(12))]);
    assert_eq!(db.scan_chunks(at(1), i64::MAX, 3).await.unwrap(), [(at(2), at(2)), (at(6), at(7))]);
    assert!(db.scan_chunks(at(19), i64::MAX, 3).await.unwrap().is_empty());
}

async fn chunks_go_in_two_steps(db: Subject) {
    let ids = chunks(&db, "p", 10).await;
    assert_eq!(db.remove_chunks(&[(ids[0], ids[9])], after(99)).await.unwrap(), 0, "nobody condemned them");
    assert_eq!(db.condemn_chunks(&[(ids[0], ids[1]), (ids[4], ids[5])], NOW).await.unwrap(), 4);
    assert_eq!(db.condemn_chunks(&[(ids[1], ids[2])], after(9)).await.unwrap(), 1, "the first sentence counts");
    let expected = [(ids[0], NOW), (ids[1], NOW), (ids[2], after(9)), (ids[4], NOW), (ids[5], NOW)];
    assert_eq!(condemned(&db).await, expected);
    assert_eq!(db.condemned_chunks(ids[0], 2).await.unwrap(), [(ChunkId(ids[1]), NOW), (ChunkId(ids[2]), after(9))]);
    assert_eq!(db.spare_chunks(&[(ids[3], ids[4])]).await.unwrap(), 1);
    assert_eq!(db.remove_chunks(&[(ids[0], ids[9])], after(8)).await.unwrap(), 3);
    assert_eq!(condemned(&db).await, [(ids[2], after(9))]);
    assert_eq!(db.totals().await.unwrap().chunks, 7);
    // A chunk that comes again gets a row of its own.
    let again = pack("p", 1).chunks[0];
    db.commit(&Commit { packs: vec![crate::NewPack { chunks: vec![again], ..pack("q", 0) }], ..Commit::default() })
        .await
        .unwrap();
    assert!(db.find_chunks(&[again.hash]).await.unwrap()[0].unwrap().id.0 > ids[9]);
}

async fn whoever_finds_a_chunk_spares_it(db: Subject) {
    let main = cache(&db, "main").await;
    let mut commit = whole(main, "x");
    commit.packs[0].chunks[0].cache = Some(main);
    let hash = commit.packs[0].chunks[0].hash;
    commit_one(&db, &commit).await;
    let id = db.find_chunks(&[hash]).await.unwrap()[0].unwrap().id;
    let range = [(id.0, id.0)];
    for visibly in [false, true] {
        assert_eq!(db.condemn_chunks(&range, NOW).await.unwrap(), 1);
        let found = match visibly {
            false => db.find_chunks(&[hash]).await.unwrap(),
            true => db.find_visible_chunks(&[main], &[hash]).await.unwrap(),
        };
        assert_eq!(found[0].map(|chunk| chunk.id), Some(id));
        assert!(condemned(&db).await.is_empty());
    }
    db.condemn_chunks(&range, NOW).await.unwrap();
    let nar = db.find_nar_by_path(main, &path_hash("x")).await.unwrap().unwrap();
    assert_eq!(db.locate_chunks(&nar.manifest).await.unwrap().len(), 1, "it is served as before");
    let other = cache(&db, "other").await;
    assert_eq!(db.find_visible_chunks(&[other], &[hash]).await.unwrap(), [None]);
    assert_eq!(condemned(&db).await.len(), 1, "who may not know of it does not keep it");
}

async fn a_commit_spares_the_chunks_that_it_names(db: Subject) {
    let main = cache(&db, "main").await;
    let ids = chunks(&db, "p", 6).await;
    assert_eq!(db.condemn_chunks(&[(ids[0], ids[5])], NOW).await.unwrap(), 6);
    let pointer = |place: usize| vec![ChunkPointer::Known(ChunkId(ids[place]))];
    let mut new = nar("x", pointer(0));
    new.listing = Some(pointer(2));
    let document = NewDocument {
        cache: main,
        kind: DocumentKind::Log,
        name: "n".to_owned(),
        manifest: pointer(4),
        size: 7,
        now: NOW,
    };
    let commit =
        Commit { paths: vec![path(main, "x", &new)], nars: vec![new], documents: vec![document], ..Commit::default() };
    commit_one(&db, &commit).await;
    assert_eq!(condemned(&db).await, [(ids[1], NOW), (ids[3], NOW), (ids[5], NOW)]);
    // One that is gone by then is found missing.
    assert_eq!(db.remove_chunks(&[(ids[1], ids[1])], NOW).await.unwrap(), 1);
    let gone = nar("y", pointer(1));
    let commit = Commit { paths: vec![path(main, "y", &gone)], nars: vec![gone], ..Commit::default() };
    assert!(matches!(refused(&db, &commit).await, CommitError::ChunkGone));
}

async fn chunks_that_come_again_are_spared(db: Subject) {
    let main = cache(&db, "main").await;
    let ids = chunks(&db, "x", 1).await;
    db.condemn_chunks(&[(ids[0], ids[0])], NOW).await.unwrap();
    commit_one(&db, &whole(main, "x")).await;
    assert!(condemned(&db).await.is_empty());
    let nar = db.find_nar_by_path(main, &path_hash("x")).await.unwrap().unwrap();
    assert_eq!(nar.manifest.ids().collect::<Vec<_>>(), [ChunkId(ids[0])]);
}

/// Whatever a commit that was acknowledged refers to is there, though others remove condemned chunks at the same time.
async fn a_commit_and_a_removal_exclude_each_other(db: Subject) {
    const MANY: u32 = 24;
    let main = cache(&db, "main").await;
    let ids = chunks(&db, "p", MANY).await;
    db.condemn_chunks(&[(ids[0], ids[ids.len() - 1])], NOW).await.unwrap();
    let removing = {
        let (db, ids) = (db.clone(), ids.clone());
        tokio::spawn(async move {
            for id in ids {
                db.remove_chunks(&[(id, id)], NOW).await.unwrap();
            }
        })
    };
    let committing = {
        let (db, ids) = (db.clone(), ids.clone());
        tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for (at, id) in ids.into_iter().enumerate().rev() {
                let name = format!("n{at}");
                let nar = nar(&name, vec![ChunkPointer::Known(ChunkId(id))]);
                let commit = Commit { paths: vec![path(main, &name, &nar)], nars: vec![nar], ..Commit::default() };
                match db.commit(&commit).await {
                    Ok(_) => acknowledged.push(name),
                    Err(CommitError::ChunkGone) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            acknowledged
        })
    };
    removing.await.unwrap();
    let acknowledged = committing.await.unwrap();
    for name in &acknowledged {
        let nar = db.find_nar_by_path(main, store_path(name).hash()).await.unwrap().unwrap();
        assert_eq!(db.locate_chunks(&nar.manifest).await.unwrap().len(), 1);
    }
    assert_eq!(db.totals().await.unwrap().chunks, acknowledged.len() as u64);
}

async fn damaged_chunks_are_listed(db: Subject) {
    let ids = chunks(&db, "p", 5).await;
    let damaged = [ChunkId(ids[1]), ChunkId(ids[2]), ChunkId(ids[4])];
    db.mark_damaged(&damaged, NOW).await.unwrap();
    assert_eq!(db.damaged_chunks(0, 2).await.unwrap(), damaged[..2]);
    assert_eq!(db.damaged_chunks(ids[2], 2).await.unwrap(), damaged[2..]);
    assert!(db.damaged_chunks(ids[4], 2).await.unwrap().is_empty());
}
