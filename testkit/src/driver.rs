//! A client library in a process of its own, spoken to in lines of JSON: `driver.js` or `driver.py` in its folder of
//! `clients`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{self, Instant};

/// Some libraries wait for many seconds before they try again.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running one. Dropped, it is killed.
pub struct Driver {
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    next_id: u64,
    /// Events that nobody asked for yet, oldest first.
    events: Vec<Value>,
}

impl Driver {
    /// Starts the driver of a folder in `clients`.
    ///
    /// # Panics
    /// When it is not installed.
    pub fn start(library: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(library);
        let is_python = folder.join("driver.py").is_file();
        let (installed, program, driver) = if is_python {
            (".venv/.installed", folder.join(".venv/bin/python"), "driver.py")
        } else {
            ("node_modules/.installed", "node".into(), "driver.js")
        };
        assert!(
            folder.join(installed).is_file(),
            "{library} is not installed: run `make clients`, or `make test`, which does"
        );
        let mut command = Command::new(program);
        command.arg(driver).current_dir(&folder).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("its program is installed");
        let stdin = child.stdin.take().expect("it is piped");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { _child: child, stdin, lines, next_id: 1, events: Vec::new() }
    }

    /// Does a step and gives its value.
    ///
    /// # Panics
    /// When the step fails.
    pub async fn call(&mut self, step: &str, fields: Value) -> Value {
        let answer = self.answer(step, &fields).await;
        assert!(
            answer["error"].is_null(),
            "{step} {fields}: {}",
            answer["error"].as_str().unwrap_or_default()
        );
        answer["value"].clone()
    }

    /// Does a step that must fail, and gives the status and the code that the library read.
    ///
    /// # Panics
    /// When it does not fail so.
    pub async fn refusal(&mut self, step: &str, fields: Value) -> (u64, u64) {
        let answer = self.answer(step, &fields).await;
        let number =
            |name: &str| answer[name].as_u64().unwrap_or_else(|| panic!("{step} {fields}: {answer}"));
        (number("status"), number("code"))
    }

    async fn answer(&mut self, step: &str, fields: &Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        let mut fields = fields.clone();
        fields["id"] = json!(id);
        fields["do"] = json!(step);
        self.stdin.write_all(format!("{fields}\n").as_bytes()).await.expect("the driver reads");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ok(line) = time::timeout_at(deadline, self.read()).await else {
                panic!("no answer to {fields} in {PATIENCE:?}; events: {:?}", self.events);
            };
            if line["answer"] == id {
                return line;
            }
            self.events.push(line);
        }
    }

    /// Waits for an event of this name with these fields, or takes it from those that came already.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn expect(&mut self, name: &str, fields: Value) -> Value {
        self.expect_one_of(&[name], fields).await
    }

    /// The same of several names, of which one is enough.
    ///
    /// # Panics
    /// When none comes.
    pub async fn expect_one_of(&mut self, names: &[&str], fields: Value) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let is_it = |event: &Value| names.iter().any(|name| event["event"] == **name) && has(event, &fields);
        let mut looked_at = 0;
        loop {
            while let Some(event) = self.events.get(looked_at) {
                if is_it(event) {
                    return self.events.remove(looked_at);
                }
                looked_at += 1;
            }
            let Ok(line) = time::timeout_at(deadline, self.read()).await else {
                panic!("no {} with {fields} in {PATIENCE:?}, but {:#?}", names.join(" or "), self.events);
            };
            self.events.push(line);
        }
    }

    /// Events of this name that came so far and were not taken.
    pub fn seen(&self, name: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["event"] == name).collect()
    }

    /// The next event that was not taken.
    ///
    /// # Panics
    /// When the driver ends.
    pub async fn next(&mut self) -> Value {
        if !self.events.is_empty() {
            return self.events.remove(0);
        }
        self.read().await
    }

    async fn read(&mut self) -> Value {
        match self.lines.next_line().await.expect("the driver writes UTF-8") {
            Some(line) => serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")),
            None => panic!("the driver ended; events: {:?}", self.events),
        }
    }
}

fn has(event: &Value, fields: &Value) -> bool {
    fields.as_object().is_none_or(|fields| fields.iter().all(|(name, value)| event[name] == *value))
}
