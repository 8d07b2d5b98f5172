//! The page for people: what was compared, how it went beside what is aimed at, plots, all figures, how to repeat it.
//!
//! It stands by itself, one file without a script; what it is made of is well-formed XML, so that a test can read it.

use std::fmt::Write as _;

use super::bars::{self, Outcome, Verdict};
use super::figures::{Comparison, FORMS, METRICS, Metric, SERVERS, Size, Table};
use super::plot::{Bars, Curves, Line, Row, escape};
use crate::cli::Peer;
use crate::report::QUANTILES;

const STYLE: &str = include_str!("page.css");

/// Figures with a plot.
const PLOTTED: [&str; 10] = [
    "bytes_idle",
    "bytes_after_traffic",
    "cpu_us_per_connect",
    "cpu_us_per_return",
    "steady_user_us",
    "steady_cpu_us",
    "steady_syscalls",
    "burst_cpu_us",
    "burst_syscalls",
    "burst_to_all_p99_ms",
];
/// Those in which compression shows.
const PLOTTED_OF_FORMS: [&str; 4] = ["wire_bytes", "burst_cpu_us", "steady_cpu_us", "bytes_after_traffic"];

/// Who they are, in a line each.
const WHO: [(Peer, &str); 8] = [
    (
        Peer::Starling,
        "the whole process, everything on: REST, permissions, the durable write, the session and its ring for a resume",
    ),
    (
        Peer::Plain,
        "what a Rust programmer writes who wants a broadcast: both as they come, a task and a bounded queue for each connection",
    ),
    (Peer::Bun, "its own server, which is uWebSockets: publish to a topic"),
    (Peer::Node, "Node with the package ws, a send for each client"),
    (
        Peer::Floor,
        "one thread, one epoll, one writev of at most 8 events, nothing else: no server on this kernel can be cheaper by much",
    ),
    (
        Peer::StarlingZlib,
        "Starling with zlib-stream on every connection; an event is compressed once for all of them",
    ),
    (Peer::StarlingZstd, "the same with zstd-stream"),
    (Peer::StarlingStream, "zlib-stream as it is usually made, with a compressor for each connection"),
];

/// The whole page.
pub fn write(comparison: &Comparison) -> String {
    let mut page = String::new();
    head(comparison, &mut page);
    compared(comparison, &mut page);
    if !comparison.verdicts.is_empty() {
        page.push_str("<h2 id=\"aims\">Beside what is aimed at</h2>");
        page.push_str("<p>A ratio is the median of the ratios of pairs: what two servers took in the same round. <em>Must</em> has to hold; <em>goal</em> is as good as is known to be possible.</p>");
        verdicts(&comparison.verdicts, &mut page);
    }
    for size in &comparison.sizes {
        plots(size, &mut page);
    }
    page.push_str("<h2 id=\"figures\">All figures</h2>");
    for size in &comparison.sizes {
        let _ = write!(page, "<h3>{} receivers, medians of {} rounds</h3>", size.receivers, size.rounds());
        for table in size.tables() {
            figures(&table, &mut page);
        }
    }
    faults(&comparison.faults, &mut page);
    page.push_str(HOW);
    page.push_str("</body></html>\n");
    page
}

const HOW: &str = "<h2 id=\"how\">How to repeat it</h2>\
<pre>make bench                  # builds, installs bun and ws, measures, writes bench/report.html\n\
make bench BENCH_ROUNDS=1   # a quick one</pre>\
<p>It needs two cores, Rust, Node.js with npm, and for system calls Linux's <code>perf</code>. The machine should do nothing else \
meanwhile. Absolute times move with the machine by a third; ratios within one run, user CPU and system calls are what counts.</p>\
<ul><li>Every server is started anew for every round, on one core; the generator keeps to another. A round goes through all servers.</li>\
<li>All events have the same length. For the others, the messages of a burst come out of one socket in one piece; for Starling they are requests.</li>\
<li>System calls are counted in a round of their own by the kernel's tracepoints, which stop nobody.</li>\
<li>Latency counts from the moment when a message was due. After each run every receiver's messages are compared with those that were sent, in order.</li>\
<li>Memory is anonymous memory of the process divided by the connections; the kernel's is the same for all.</li>\
<li>A return is a connection that was dropped with all the others and comes back half a second later, by RESUME where there are sessions.</li></ul>";

fn head(comparison: &Comparison, page: &mut String) {
    let machine = &comparison.machine;
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <title>Starling beside other servers</title><style>\n{STYLE}</style></head><body>\
         <h1>Starling beside other servers</h1><p class=\"soft\">{} UTC · {}, {} cores, {} GiB · Linux {}</p>",
        escape(&machine.date),
        escape(&machine.processor),
        machine.cores,
        machine.memory_gib,
        escape(&machine.kernel)
    );
    if machine.is_debug_build {
        page.push_str("<p class=\"warning\">This was a debug build: its figures mean nothing.</p>");
    }
    page.push_str("<p>What it costs to bring messages to very many WebSocket connections: memory, CPU, system calls and time, for the same work in one run, one server after the other.</p><ul class=\"score\">");
    for outcome in [Outcome::Goal, Outcome::Must, Outcome::Missed] {
        let count = comparison.verdicts.iter().filter(|verdict| verdict.outcome == outcome).count();
        let _ = write!(page, "<li class=\"{}\"><b>{count}</b>{}</li>", class(outcome), outcome.text());
    }
    page.push_str("</ul>");
}

fn compared(comparison: &Comparison, page: &mut String) {
    page.push_str("<h2 id=\"who\">What was compared</h2><ul>");
    for (peer, what) in WHO {
        if comparison.sizes.iter().any(|size| size.found(peer).is_some()) {
            let _ = write!(page, "<li><b>{}</b>: {}</li>", escape(peer.name()), escape(what));
        }
    }
    page.push_str("</ul><p class=\"soft\">");
    let versions: Vec<String> =
        comparison.machine.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let _ = write!(page, "{}</p>", escape(&versions.join(" · ")));
}

fn verdicts(verdicts: &[Verdict], page: &mut String) {
    page.push_str("<div class=\"wide\"><table><thead><tr><th>bar</th><th>receivers</th><th>must</th><th>goal</th><th></th></tr></thead><tbody>");
    for Verdict { what, receivers, must, goal, outcome, .. } in verdicts {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{receivers}</td><td>{}</td><td>{}</td><td class=\"outcome {}\">{}</td></tr>",
            escape(what),
            escape(&must.text()),
            escape(&goal.text()),
            class(*outcome),
            outcome.text()
        );
    }
    page.push_str("</tbody></table></div>");
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Goal => "goal-met",
        Outcome::Must => "must-met",
        Outcome::Missed | Outcome::NotMeasured => "missed",
    }
}

fn plots(size: &Size, page: &mut String) {
    let _ = write!(
        page,
        "<h2 id=\"plots-{}\">{} receivers</h2><p>{:.0} messages a second, then {} at once.</p><div class=\"plots\">",
        size.receivers, size.receivers, size.messages_per_sec, size.burst
    );
    for metric in plotted(&PLOTTED) {
        bar_plot(size, metric, &SERVERS, bars::limits(size, metric.name), page);
    }
    curve_plot(size, "Steady rate: milliseconds until delivered", false, page);
    curve_plot(size, "Burst: milliseconds until delivered", true, page);
    page.push_str("</div>");
    if FORMS.iter().any(|peer| peer.is_compressed() && size.found(*peer).is_some()) {
        page.push_str("<h3>With compression</h3><div class=\"plots\">");
        for metric in plotted(&PLOTTED_OF_FORMS) {
            bar_plot(size, metric, &FORMS, Vec::new(), page);
        }
        page.push_str("</div>");
    }
}

fn plotted(names: &[&'static str]) -> impl Iterator<Item = &'static Metric> {
    names.iter().filter_map(|name| METRICS.iter().find(|metric| metric.name == *name))
}

fn color(peer: Peer) -> usize {
    Peer::ALL.iter().position(|known| *known == peer).unwrap_or(0)
}

fn bar_plot(size: &Size, metric: &Metric, peers: &[Peer], limits: Vec<(&str, f64)>, page: &mut String) {
    let row = |peer: &Peer| {
        let value = size.found(*peer)?.median.get(metric.name)?;
        // How many times what Starling takes.
        let ratio = size.ratio(metric.name, *peer, Peer::Starling).filter(|_| *peer != Peer::Starling);
        let note = ratio.map_or_else(String::new, |ratio| format!(" · {ratio:.2} ×"));
        Some(Row { name: peer.name(), value, color: color(*peer), note })
    };
    let rows: Vec<Row<'_>> = peers.iter().filter_map(row).collect();
    if rows.is_empty() {
        return;
    }
    let Metric { heading, unit, digits, .. } = *metric;
    let limits = if rows[0].name == Peer::Starling.name() { limits } else { Vec::new() };
    let svg = Bars { title: heading, unit, digits, rows, limits }.svg();
    let _ = write!(page, "<figure>{svg}</figure>");
}

fn curve_plot(size: &Size, title: &str, is_burst: bool, page: &mut String) {
    let line = |peer: &Peer| {
        let curves = &size.found(*peer)?.curves;
        let values = if is_burst { &curves.burst } else { &curves.steady };
        (!values.is_empty()).then_some(Line { name: peer.name(), color: color(*peer), values })
    };
    let lines: Vec<Line<'_>> = SERVERS.iter().filter_map(line).collect();
    if !lines.is_empty() {
        let svg = Curves { title, unit: "ms", at: &QUANTILES, lines }.svg();
        let _ = write!(page, "<figure>{svg}</figure>");
    }
}

fn figures(table: &Table, page: &mut String) {
    page.push_str("<div class=\"wide\"><table><thead><tr><th></th>");
    for heading in &table.head {
        let _ = write!(page, "<th>{}</th>", escape(heading));
    }
    page.push_str("</tr></thead><tbody>");
    for (heading, cells) in &table.rows {
        let _ = write!(page, "<tr><td>{}</td>", escape(heading));
        for cell in cells {
            let _ = write!(page, "<td>{}</td>", escape(cell));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div>");
}

fn faults(faults: &[String], page: &mut String) {
    if faults.is_empty() {
        page.push_str(
            "<p>In every run each receiver had each message once and in order, and everybody came back.</p>",
        );
        return;
    }
    page.push_str("<h2 id=\"faults\">What went wrong</h2><ul>");
    for fault in faults {
        let _ = write!(page, "<li class=\"missed\">{}</li>", escape(fault));
    }
    page.push_str("</ul>");
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::found;
    use super::super::machine::Machine;
    use super::*;

    /// A page with everything that a page can have.
    fn page() -> String {
        let mut servers: Vec<_> =
            Peer::ALL.iter().map(|peer| found(*peer, "burst_cpu_us", &[2.0, 3.0])).collect();
        for found in &mut servers {
            found.curves.burst = QUANTILES.iter().map(|quantile| quantile * 50.0).collect();
        }
        let size = Size { receivers: 1000, messages_per_sec: 30.0, burst: 100, servers };
        let verdicts = bars::judge(std::slice::from_ref(&size));
        let machine =
            Machine { processor: "a <fast> & good one".into(), is_debug_build: true, ..Machine::default() };
        let faults = vec!["bun: 1 < 2 messages".to_owned()];
        write(&Comparison { machine, sizes: vec![size], verdicts, faults })
    }

    /// The names of all elements, once it is sure that each ends where it should.
    fn elements(page: &str) -> Vec<String> {
        let (mut open, mut all): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let body = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
        for piece in body.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').expect("a tag ends");
            assert!(!text.contains('>'), "{piece}");
            let unescaped = text.split('&').skip(1).find(|entity| {
                !["amp;", "lt;", "gt;", "quot;"].iter().any(|known| entity.starts_with(known))
            });
            assert_eq!(unescaped, None, "{text}");
            assert!(tag.matches('"').count() % 2 == 0, "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name));
                continue;
            }
            let name = tag.split([' ', '/']).next().unwrap_or_default().to_owned();
            all.push(name.clone());
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert_eq!(open, Vec::<String>::new());
        all
    }

    #[test]
    fn the_page_is_well_formed_and_stands_by_itself() {
        let page = page();
        let elements = elements(&page);
        let count = |name: &str| elements.iter().filter(|element| *element == name).count();
        // CPU in a burst beside servers and beside forms, and the distribution in a burst.
        assert_eq!((count("svg"), count("figure"), count("h1")), (3, 3, 1));
        assert_eq!(count("table"), 3, "verdicts, servers, forms");
        assert_eq!(count("script") + count("link") + count("img"), 0);
        assert!(!page.replace("http://www.w3.org/2000/svg", "").contains("http"), "nothing is fetched");
        assert!(page.contains("prefers-color-scheme: dark") && page.contains("width=device-width"));
    }

    #[test]
    fn the_page_says_what_was_found() {
        let page = page();
        for text in [
            "a &lt;fast&gt; &amp; good one",
            "This was a debug build",
            "bun: 1 &lt; 2 messages",
            "1.00 of ≤ 1.8 × epoll floor",
            "class=\"outcome goal-met\">goal met</td>",
            "make bench BENCH_ROUNDS=1",
        ] {
            assert!(page.contains(text), "{text} is missing in {page}");
        }
    }
}
