//! Every refusal is told for what it is.

use bucket::Fault;
use bytes::Bytes;
use storage::Error;

use super::*;
use crate::S3Error;

fn reason(error: &Error) -> &S3Error {
    let cause = match error {
        Error::Unavailable(cause) | Error::Denied(cause) | Error::NoSpace(cause) => cause,
        other => panic!("no refusal of the service: {other:?}"),
    };
    cause.downcast_ref().unwrap_or_else(|| panic!("not S3's: {cause:?}"))
}

/// That the bucket is gone must not look as if each of its objects were: that would be damage.
pub(super) async fn absent_bucket(options: Options) {
    let storage = S3Storage::new(Options { bucket: "not-there".to_owned(), attempts: 2, ..options }).await;
    let k = key("k");
    for error in [
        storage.read(&k, 0..1).await.unwrap_err(),
        storage.size(&k).await.unwrap_err(),
        storage.ping().await.unwrap_err(),
    ] {
        assert!(matches!(reason(&error), S3Error::NoSuchBucket { .. }), "{error:?}");
    }
}

pub(super) async fn wrong_credentials(options: Options) {
    let keys = |id: &str, secret: &str| Login::Keys { id: id.to_owned(), secret: secret.to_owned() };
    for login in [keys(ACCESS_KEY_ID, &"2".repeat(64)), keys("GK000000000000000000000009", SECRET_ACCESS_KEY)] {
        let storage = S3Storage::new(Options { login, ..options.clone() }).await;
        let error = storage.put(&key("k"), Bytes::from_static(b"x")).await.unwrap_err();
        assert!(matches!(error, Error::Denied(_)), "{error:?}");
        let reason = reason(&error);
        assert!(matches!(reason, S3Error::BadCredentials { .. } | S3Error::AccessDenied { .. }), "{reason:?}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there() {
    absent_bucket(Lab::new().options()).await;
}

#[tokio::test]
async fn credentials_that_are_wrong() {
    wrong_credentials(Lab::new().options()).await;
}

#[tokio::test]
async fn credentials_in_files() {
    let lab = Lab::new();
    let folder = tempfile::tempdir().unwrap();
    let (id, secret) = (folder.path().join("id"), folder.path().join("secret"));
    let login = Login::Files { id: id.clone(), secret: secret.clone() };
    let storage = S3Storage::new(Options { login, ..lab.options() }).await;
    let error = storage.ping().await.unwrap_err();
    assert!(matches!(reason(&error), S3Error::NoCredentials(_)), "{error:?}");
    std::fs::write(id, format!("{ACCESS_KEY_ID}\n")).unwrap();
    std::fs::write(secret, format!("{SECRET_ACCESS_KEY}\n")).unwrap();
    storage.ping().await.unwrap();
}

#[tokio::test]
async fn answers_of_a_service_in_trouble() {
    let lab = Lab::new();
    let storage = S3Storage::new(Options { attempts: 2, ..lab.options() }).await;
    let told = async |status, code| {
        lab.service.disturb(move |_| Some(Fault::Answer(status, code)));
        let error = storage.put(&key("k"), Bytes::from_static(b"x")).await.unwrap_err();
        (format!("{:?}", reason(&error)).split([' ', '{']).next().unwrap().to_owned(), lab.service.requests())
    };
    let told = [
        told(503, "SlowDown").await,
        told(500, "InternalError").await,
        told(403, "RequestTimeTooSkewed").await,
        told(403, "AccessDenied").await,
        told(301, "PermanentRedirect").await,
        told(507, "XMinioStorageFull").await,
        told(400, "InvalidArgument").await,
    ];
    let told: Vec<_> = told.iter().map(|(reason, requests)| format!("{reason} {requests}")).collect();
    let expected =
        ["SlowDown 2", "Failed 2", "ClockSkew 1", "AccessDenied 1", "WrongRegion 1", "NoSpace 1", "Unexpected 1"];
    assert_eq!(told, expected);
}

/// A page of a proxy that has lost its backend is no word on an object.
#[tokio::test]
async fn an_absence_that_the_service_did_not_state() {
    let lab = Lab::new();
    let storage = lab.storage().await;
    storage.put(&key("k"), Bytes::from_static(b"x")).await.unwrap();
    lab.service.disturb(|_| Some(Fault::Answer(404, "")));
    for error in [storage.read(&key("k"), 0..1).await.unwrap_err(), storage.size(&key("k")).await.unwrap_err()] {
        assert!(!matches!(error, Error::NotFound { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn nobody_there() {
    let lab = Lab::new();
    let options = Options { attempts: 2, ..lab.options() };
    drop(lab);
    let storage = S3Storage::new(options).await;
    let error = storage.ping().await.unwrap_err();
    assert!(matches!(reason(&error), S3Error::Connection(_)), "{error:?}");
}

#[tokio::test]
async fn a_ping_asks_once_a_second() {
    let lab = Lab::new();
    let storage = lab.storage().await;
    futures::future::join_all((0..20).map(|_| storage.ping())).await.into_iter().collect::<Result<(), _>>().unwrap();
    assert_eq!(lab.requests(), ["HeadBucket 1"]);
}

const EXPIRES: &str = "<LifecycleConfiguration><Rule><ID>tidy</ID><Status>Enabled</Status><Filter><Prefix>tenant/</Prefix></Filter>\
     <Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>";

#[tokio::test]
async fn lifecycle_rules() {
    let lab = Lab::new();
    let ours = S3Storage::new(Options { prefix: "tenant/".to_owned(), ..lab.options() }).await;
    let others = lab.storage().await;
    // This service does not know of such rules.
    assert_eq!(ours.expiry_rules("packs/").await.unwrap(), None);
    lab.service.disturb(|_| Some(Fault::Say(EXPIRES)));
    let rules = ours.expiry_rules("packs/").await.unwrap().unwrap();
    assert_eq!((rules[0].id.as_str(), rules[0].action.as_str()), ("tidy", "deletes after 30 days"));
    assert_eq!(others.expiry_rules("packs/").await.unwrap(), Some(Vec::new()));
    lab.service.disturb(|_| Some(Fault::Answer(404, "NoSuchLifecycleConfiguration")));
    assert_eq!(ours.expiry_rules("packs/").await.unwrap(), Some(Vec::new()));
}
