//! A TCP proxy that counts what passes and cuts when told.

use anyhow::Result;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A proxy on loopback; ends with the value.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: String,
    down: Arc<AtomicU64>,
    up: Arc<AtomicU64>,
    cut: watch::Sender<u64>,
    cut_at: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens and passes everything on to `target`.
    pub async fn start(target: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (down, up) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let cut_at = Arc::new(AtomicU64::new(u64::MAX));
        let (cut, cuts) = watch::channel(0);
        let pass = Pass {
            down: down.clone(),
            up: up.clone(),
            cut_at: cut_at.clone(),
            cut: cut.clone(),
        };
        let target = target.to_owned();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, pass, cuts) = (target.clone(), pass.clone(), cuts.clone());
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(&target).await {
                        pass.on(client, server, cuts).await;
                    }
                });
            }
        });
        Ok(Self {
            address,
            down,
            up,
            cut,
            cut_at,
            task,
        })
    }

    /// Bytes from the target to its clients so far.
    pub fn down(&self) -> u64 {
        self.down.load(Ordering::SeqCst)
    }

    /// Bytes from the clients to the target so far.
    pub fn up(&self) -> u64 {
        self.up.load(Ordering::SeqCst)
    }

    /// Cuts every connection now; new ones are let through.
    pub fn cut(&self) {
        self.cut.send_modify(|n| *n += 1);
    }

    /// Cuts every connection, once, when `bytes` in all have come down.
    pub fn cut_when_down_reaches(&self, bytes: u64) {
        self.cut_at.store(bytes, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

#[derive(Clone)]
struct Pass {
    down: Arc<AtomicU64>,
    up: Arc<AtomicU64>,
    cut_at: Arc<AtomicU64>,
    cut: watch::Sender<u64>,
}

impl Pass {
    async fn on(&self, client: TcpStream, server: TcpStream, mut cuts: watch::Receiver<u64>) {
        cuts.mark_unchanged();
        let (client_read, client_write) = client.into_split();
        let (server_read, server_write) = server.into_split();
        let up = copy(client_read, server_write, |n| {
            self.up.fetch_add(n, Ordering::SeqCst);
        });
        let down = copy(server_read, client_write, |n| {
            let passed = self.down.fetch_add(n, Ordering::SeqCst) + n;
            if passed >= self.cut_at.load(Ordering::SeqCst) {
                self.cut_at.store(u64::MAX, Ordering::SeqCst);
                self.cut.send_modify(|n| *n += 1);
            }
        });
        tokio::select! {
            () = up => {}
            () = down => {}
            _ = cuts.changed() => {}
        }
    }
}

async fn copy(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, count: impl Fn(u64)) {
    let mut buffer = vec![0; 64 * 1_024];
    while let Ok(n) = from.read(&mut buffer).await {
        if n == 0 || to.write_all(&buffer[..n]).await.is_err() {
            break;
        }
        count(n as u64);
    }
}
