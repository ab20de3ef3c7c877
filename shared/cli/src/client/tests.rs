use super::*;
use crate::exit;
use hyper_util::{rt::TokioExecutor, server::conn::auto, service::TowerToHyperService};
use raccordo_proto::wire::{
    self,
    status_service_client::StatusServiceClient,
    status_service_server::{StatusService, StatusServiceServer},
};
use std::os::unix::fs::PermissionsExt;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, service::Interceptor};
use tower::ServiceExt;

const TOKEN: &str = "prova-0123456789abcdef";

fn token_file(dir: &Path, mode: u32) -> PathBuf {
    let path = dir.join("token");
    write_token(&path, &SecretToken::parse(TOKEN).unwrap()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn target(address: &str, ca_pem: PathBuf) -> Target {
    Target {
        address: address.into(),
        server_name: "hub.raccordo".into(),
        ca_pem,
        token: SecretToken::parse(TOKEN).unwrap(),
    }
}

/// A self-signed certificate for `hub.raccordo`, written to `dir`, and a server's configuration.
fn certificate(dir: &Path, name: &str) -> (PathBuf, Arc<rustls::ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["hub.raccordo".into()]).unwrap();
    let path = dir.join(name);
    fs::write(&path, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    (path, Arc::new(config))
}

#[test]
fn a_token_that_others_can_read_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = token_file(dir.path(), 0o600);
    assert_eq!(SecretToken::read_file(&path).unwrap().expose(), TOKEN);
    for mode in [0o640, 0o604, 0o644] {
        let path = token_file(dir.path(), mode);
        let error = SecretToken::read_file(&path).unwrap_err();
        assert_eq!(
            error.remedy(),
            format!("chmod 600 {}", path.display()),
            "{mode:o}"
        );
    }
}

#[test]
fn a_token_is_shown_by_nothing() {
    let token = SecretToken::parse(&format!(" {TOKEN}\n")).unwrap();
    let shown = format!("{token:?} {:?}", Bearer::new(&token).unwrap());
    assert!(!shown.contains(TOKEN), "{shown}");
    let mut request = Bearer::new(&token).unwrap().call(Request::new(())).unwrap();
    assert!(!format!("{:?}", request.metadata()).contains(TOKEN));
    let sent = request.metadata_mut().remove("authorization").unwrap();
    assert_eq!(sent.to_str().unwrap(), format!("Bearer {TOKEN}"));
    for bad in ["", "corto", "con spazio dentro", "a\u{e8}bcdefghi"] {
        assert!(SecretToken::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_init_writes_leads_back_to_the_node() {
    let dir = tempfile::tempdir().unwrap();
    token_file(dir.path(), 0o600);
    let context = Context {
        address: "127.0.0.1:7444".into(),
        server_name: "region-090.raccordo".into(),
        ca: "strange \"name\"\\ca.pem".into(),
        token_file: "token".into(),
    };
    write_context(dir.path(), &context).unwrap();
    write_context(dir.path(), &context).unwrap();
    let target = node_context(dir.path()).unwrap();
    assert_eq!(target.address, context.address);
    assert_eq!(target.server_name, context.server_name);
    assert_eq!(target.ca_pem, dir.path().join(&context.ca));
    assert_eq!(target.token.expose(), TOKEN);
    let mode = fs::metadata(dir.path().join(CONTEXT_FILE))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let error = node_context(&dir.path().join("elsewhere")).unwrap_err();
    assert!(matches!(error, ClientError::NoContext { .. }), "{error}");
}

#[test]
fn the_stronger_layer_gives_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let file = token_file(dir.path(), 0o600);
    let config = dir.path().join("gdl.toml");
    fs::write(&config, "ca = \"ca.pem\"\ntoken_file = \"token\"\n").unwrap();
    let from_flag = ClientArgs {
        token_file: Some(file.clone()),
        ..Default::default()
    };
    let env = |key: &str| (key == "RACCORDO_TOKEN").then(|| "dall-ambiente".to_owned());
    let token = |args: &ClientArgs, env: &dyn Fn(&str) -> Option<String>| {
        let resolved = args.resolve(env, Some(&config))?;
        Target::from_resolved(&resolved).map(|t| t.token.expose().to_owned())
    };
    let none = ClientArgs::default();
    assert_eq!(token(&none, &|_| None).unwrap(), TOKEN);
    assert_eq!(token(&none, &env).unwrap(), "dall-ambiente");
    assert_eq!(token(&from_flag, &env).unwrap(), TOKEN);
    let both = |key: &str| key.starts_with("RACCORDO_TOKEN").then(|| "x".to_owned());
    assert!(matches!(token(&none, &both), Err(ClientError::TokenTwice)));
    fs::write(&config, "ca = \"ca.pem\"\ntoken = \"abcdefgh\"\n").unwrap();
    assert!(matches!(
        token(&none, &|_| None),
        Err(ClientError::TokenInConfig { .. })
    ));
    fs::write(&config, "ca = \"ca.pem\"\n").unwrap();
    assert!(matches!(token(&none, &|_| None), Err(ClientError::NoToken)));
}

#[tokio::test]
async fn silence_and_a_wrong_certificate_are_two_things() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, server) = certificate(dir.path(), "ca.pem");
    let (other_ca, _) = certificate(dir.path(), "other.pem");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accepting = tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(server);
        let mut open = Vec::new();
        while let Ok((tcp, _)) = listener.accept().await {
            open.extend(acceptor.accept(tcp).await.ok());
        }
    });
    connect(&target(&address, ca.clone())).await.unwrap();
    let error = connect(&target(&address, other_ca)).await.unwrap_err();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error}");
    let mut wrong_name = target(&address, ca.clone());
    wrong_name.server_name = "region-090.raccordo".into();
    let error = connect(&wrong_name).await.unwrap_err();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error}");
    accepting.abort();
    let _ = accepting.await;
    let error = connect(&target(&address, ca)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn bad_settings_are_told_before_anything_is_dialled() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, _) = certificate(dir.path(), "ca.pem");
    let error = connect(&target("senza-porta", ca.clone())).await.unwrap_err();
    assert!(matches!(error, ClientError::NotAnAddress(_)), "{error}");
    let mut target = target("127.0.0.1:1", ca);
    target.server_name = "due parole".into();
    let error = connect(&target).await.unwrap_err();
    assert!(matches!(error, ClientError::NotAServerName(_)), "{error}");
    target.ca_pem = dir.path().join("vuoto.pem");
    fs::write(&target.ca_pem, "niente").unwrap();
    let error = connect(&target).await.unwrap_err();
    assert!(matches!(error, ClientError::NotACa { .. }), "{error}");
}

/// A Hub that knows one token.
struct OneToken;

#[tonic::async_trait]
impl StatusService for OneToken {
    async fn consolidated(
        &self,
        request: Request<wire::ConsolidatedRequest>,
    ) -> Result<Response<wire::ConsolidatedResponse>, Status> {
        let sent = request.metadata().get("authorization");
        if sent.is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
            let status = Status::unauthenticated("il token è scaduto");
            return Err(exit::with_remedy(status, "chiederne un altro"));
        }
        Ok(Response::new(wire::ConsolidatedResponse {
            period: request.into_inner().period,
            ..Default::default()
        }))
    }

    async fn fleet(&self, _: Request<wire::FleetRequest>) -> Result<Response<wire::FleetResponse>, Status> {
        // Never answers: the node is gone while a call is open.
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_call_carries_the_token_and_its_refusal_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, server) = certificate(dir.path(), "ca.pem");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let routes = tonic::service::Routes::new(StatusServiceServer::new(OneToken)).into_axum_router();
    let (asked, mut was_asked) = tokio::sync::mpsc::channel(4);
    let serving = tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(server);
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((tcp, _)) = listener.accept().await {
            let tls = acceptor.accept(tcp).await.unwrap();
            let (routes, asked) = (routes.clone(), asked.clone());
            let service = tower::service_fn(move |request: http::Request<_>| {
                let _ = asked.try_send(request.uri().to_string());
                routes.clone().oneshot(request)
            });
            connections.spawn(async move {
                auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(tls), TowerToHyperService::new(service))
                    .await
                    .map_err(|error| error.to_string())
            });
        }
    });

    let mut target = target(&address, ca);
    let mut service = StatusServiceClient::new(connect(&target).await.unwrap());
    let request = wire::ConsolidatedRequest {
        period: "2023-11".into(),
        ..Default::default()
    };
    let answer = service.consolidated(request.clone()).await.unwrap();
    assert_eq!(answer.into_inner().period, "2023-11");
    let uri = was_asked.recv().await.unwrap();
    assert!(uri.starts_with("https://hub.raccordo/"), "{uri}");

    target.token = SecretToken::parse("un-altro-token").unwrap();
    let mut stranger = StatusServiceClient::new(connect(&target).await.unwrap());
    let error = anyhow::Error::from(stranger.consolidated(request).await.unwrap_err());
    assert_eq!(exit::Exit::of(&error), exit::Exit::Authentication);
    let expected = "errore: il token è scaduto\nrimedio: chiederne un altro";
    assert_eq!(exit::explain(&error), expected);
    was_asked.recv().await.unwrap();

    let open = tokio::spawn(async move { service.fleet(wire::FleetRequest {}).await });
    was_asked.recv().await.unwrap();
    serving.abort();
    let _ = serving.await;
    let error = anyhow::Error::from(open.await.unwrap().unwrap_err());
    assert_eq!(exit::Exit::of(&error), exit::Exit::Unreachable, "{error:?}");
    assert!(exit::explain(&error).contains("si è interrotta"), "{error:?}");
}
