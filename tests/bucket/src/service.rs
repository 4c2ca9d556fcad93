//! The service in this process.

use std::{
    convert::Infallible,
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use s3s::{Body, auth::SimpleAuth, service::S3Service, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    ACCESS_KEY_ID, Asked, BUCKET, Fault, SECRET_ACCESS_KEY,
    access::Access,
    fault::{Closed, collected, flip, refusal, said},
};

type Plan = Box<dyn FnMut(&Asked<'_>) -> Option<Fault> + Send>;

/// An S3 service on a thread of its own, with its objects as files under a folder. It stops when it is dropped.
pub struct Service {
    address: SocketAddr,
    root: PathBuf,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    service: S3Service,
    plan: Mutex<(Plan, u64)>,
}

impl Service {
    /// Starts a service with its bucket in `root`, which must exist, on a free port of this machine.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        fs::create_dir_all(root.join(BUCKET)).expect("a folder for the bucket");
        let files = FileSystem::new(&root).expect("a folder for the service");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        builder.set_access(Access { root: root.clone() });
        let shared = Arc::new(Shared { service: builder.build(), plan: Mutex::new((Box::new(|_| None), 0)) });
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let (told, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
                    told.send(listener.local_addr().expect("an address")).expect("somebody waits for it");
                    tokio::select! {
                        () = accept(listener, shared) => {}
                        _ = stopped => {}
                    }
                });
                runtime.shutdown_background();
            }
        });
        let address = address.recv().expect("the service starts");
        Self { address, root, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the bucket's objects are, as files.
    #[must_use]
    pub fn objects(&self) -> PathBuf {
        self.root.join(BUCKET)
    }

    /// The folder of the service, with the bucket in it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Disturbs requests from now on as `plan` says; they are counted anew.
    pub fn disturb(&self, plan: impl FnMut(&Asked<'_>) -> Option<Fault> + Send + 'static) {
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = (Box::new(plan), 0);
    }

    /// Disturbs nothing from now on.
    pub fn calm(&self) {
        self.disturb(|_| None);
    }

    /// How many requests came since the plan was last changed.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(_) => return,
        };
        // Answers are small; without this each waits for the acknowledgement of the one before.
        let _ = socket.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { shared.answer(request).await }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}

impl Shared {
    fn fault(&self, request: &Request<Incoming>) -> Option<Fault> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let (plan, number) = &mut *plan;
        let asked = Asked {
            method: request.method().as_str(),
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            number: *number,
        };
        *number += 1;
        plan(&asked)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let fault = self.fault(&request);
        let mut request = request.map(Body::from);
        match &fault {
            Some(Fault::Delay(duration)) => tokio::time::sleep(*duration).await,
            Some(Fault::Refuse) => return Err(Closed),
            Some(Fault::Answer(status, code)) => return Ok(refusal(*status, code)),
            Some(Fault::Say(xml)) => return Ok(said(StatusCode::OK, xml.as_bytes().into())),
            Some(Fault::FlipRequest) => {
                let (head, body) = request.into_parts();
                request = Request::from_parts(head, Body::from(flip(&collected(body).await?)));
            }
            _ => {}
        }
        let answer = self.service.call(request).await.map_err(|_| Closed)?;
        match fault {
            Some(fault) => fault.disturb(answer).await,
            None => Ok(answer),
        }
    }
}
