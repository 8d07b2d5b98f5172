//! Who may call: the shared secret, and certificates on both sides.

use proto::serving::Config;
use proto::tls::{ClientTls, Identity, ServerTls};
use proto::transport::remote::{self, Remote, Targets};
use proto::{FailureKind, Secret, Transport};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::replica::{Replica, client, connect_with, who};

fn to(replica: &Replica) -> remote::Config {
    remote::Config::new("messages", Targets::List(vec![replica.address()]))
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_knows_the_secret_may_call() {
    let config = Config { secret: secret("the-secret-of-the-cluster"), ..Config::default() };
    let replica = Replica::start_with("one", config).await;
    let rows = [
        (secret("the-secret-of-the-cluster"), None),
        (secret("another-secret-altogether"), Some("not this cluster's")),
        (None, Some("secret is missing")),
    ];
    for (secret, refusal) in rows {
        let remote = connect_with(remote::Config { secret, ..to(&replica) });
        let answer = who(&client(&remote), 1).await;
        match refusal {
            None => assert_eq!(answer, Ok("one".to_owned())),
            Some(text) => {
                let failure = answer.unwrap_err();
                // Nothing that an edge could take for a user's bad token.
                assert_eq!(failure.kind, FailureKind::Internal);
                assert!(failure.message.contains(text), "{failure}");
            }
        }
    }
    assert_eq!(replica.service.started(), 1);
    assert_eq!(replica.server.as_ref().unwrap().counts()().strangers, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_need_no_secret() {
    let config = Config { secret: secret("the-secret-of-the-cluster"), ..Config::default() };
    let replica = Replica::start_with("one", config).await;
    let mut health = HealthClient::new(Transport::remote(&connect_with(to(&replica))));
    for service in ["", "starling.v1.Messages"] {
        let request = || HealthCheckRequest { service: service.to_owned() };
        replica.server.as_ref().unwrap().set_serving(false).await;
        let reply = health.check(request()).await.unwrap().into_inner();
        assert_eq!(reply.status().as_str_name(), "NOT_SERVING", "{service}");
        replica.server.as_ref().unwrap().set_serving(true).await;
        let reply = health.check(request()).await.unwrap().into_inner();
        assert_eq!(reply.status().as_str_name(), "SERVING", "{service}");
    }
}

/// An authority, and what it has signed for a name.
struct Authority(CertifiedIssuer<'static, KeyPair>);

struct Signed {
    chain: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self, name: &str) -> Signed {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Signed { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Signed {
    fn identity(&self) -> Identity<'_> {
        Identity { chain: self.chain.as_bytes(), key: self.key.as_bytes() }
    }
}

async fn secured(authority: &Authority, callers: Option<&Authority>) -> Replica {
    let callers = callers.map(Authority::pem);
    let callers = callers.as_ref().map(String::as_bytes);
    let tls = ServerTls::new(authority.sign("messages.test").identity(), callers).unwrap();
    Replica::start_with("one", Config { tls: Some(tls), ..Config::default() }).await
}

fn connect_tls(replica: &Replica, authority: &Authority, name: &str, me: Option<&Signed>) -> Remote {
    let identity = me.map(Signed::identity);
    let tls = ClientTls::new(authority.pem().as_bytes(), name, identity).unwrap();
    connect_with(remote::Config { tls: Some(tls), ..to(replica) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_known_by_its_certificate() {
    let (ours, other) = (Authority::new(), Authority::new());
    let replica = secured(&ours, None).await;
    let good = connect_tls(&replica, &ours, "messages.test", None);
    assert_eq!(who(&client(&good), 1).await, Ok("one".to_owned()));
    let plain = connect_with(to(&replica));
    let bad = [
        connect_tls(&replica, &other, "messages.test", None),
        connect_tls(&replica, &ours, "guilds.test", None),
        plain,
    ];
    for remote in bad {
        let failure = who(&client(&remote), 1).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
    }
    assert_eq!(replica.service.started(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_known_by_its_certificate() {
    let (ours, other) = (Authority::new(), Authority::new());
    let replica = secured(&ours, Some(&ours)).await;
    let (member, stranger) = (ours.sign("api.test"), other.sign("api.test"));
    let good = connect_tls(&replica, &ours, "messages.test", Some(&member));
    assert_eq!(who(&client(&good), 1).await, Ok("one".to_owned()));
    for me in [None, Some(&stranger)] {
        let remote = connect_tls(&replica, &ours, "messages.test", me);
        assert_eq!(who(&client(&remote), 1).await.unwrap_err().kind, FailureKind::Unavailable);
    }
    assert_eq!(replica.service.started(), 1);
}

#[test]
fn certificates_that_are_none_are_refused() {
    let authority = Authority::new();
    let signed = authority.sign("messages.test");
    let empty = Identity { chain: b"", key: signed.key.as_bytes() };
    let error = ServerTls::new(empty, None).err().unwrap().to_string();
    assert_eq!(error, "read the certificate: there is no certificate in it");
    let other = authority.sign("messages.test");
    let mixed = Identity { chain: signed.chain.as_bytes(), key: other.key.as_bytes() };
    assert!(ServerTls::new(mixed, None).is_err(), "the key is another one's");
    assert!(ClientTls::new(b"", "messages.test", None).is_err());
    assert!(ClientTls::new(authority.pem().as_bytes(), "not a name", None).is_err());
}
