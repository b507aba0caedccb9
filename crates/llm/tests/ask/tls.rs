//! HTTPS against a real server with a certificate of a private authority.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use backtrail_llm::{Dialect, LlmError, Provider, Secret};
use tempfile::TempDir;

use crate::fixture::Case;

/// Answers every POST with an empty answer, and prints its port first.
const SERVER: &str = r#"
import http.server, json, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"choices": [{"message": {"content": "{\"candidates\":[]}"}}]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/leaf.pem", sys.argv[1] + "/leaf.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

struct Server(Child, u16);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let run = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output();
    let output = run.expect("openssl is needed for this test");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn start() -> (TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder.path(), &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
    openssl(folder.path(), &format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN=localhost"));
    fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        .expect("a file");
    openssl(
        folder.path(),
        "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -set_serial 1 -days 2 -extfile names -out leaf.pem",
    );
    let mut python = Command::new("python3")
        .args(["-c", SERVER])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3 is needed for this test");
    let mut line = String::new();
    BufReader::new(python.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let port = line.trim().parse().expect("the server prints its port");
    (folder, Server(python, port))
}

#[test]
fn a_private_authority_is_trusted_only_if_it_is_given() {
    let (folder, server) = start();
    let url = format!("https://localhost:{}", server.1);
    let mut provider = Provider::new(url, "stub", Dialect::OpenAiChat, Secret::new("k"));
    let error = Case::new().ask(&provider).expect_err("the authority is not a public one");
    assert!(matches!(&error, LlmError::Unreachable(says) if says.contains("certificate")), "{error:?}");
    provider.ca = Some(fs::read(folder.path().join("ca.pem")).expect("the authority"));
    let outcome = Case::new().ask(&provider).expect("an empty answer");
    assert_eq!(outcome.candidates, []);
    provider.ca = Some(b"no certificate".to_vec());
    let error = Case::new().ask(&provider).expect_err("nothing to trust");
    assert!(matches!(error, LlmError::Config(_)), "{error:?}");
}
