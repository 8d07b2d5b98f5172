//! Plots as SVG that stands in a page: its colours are the page's, so that it is dark where the page is.
//!
//! A plot is 360 units wide, as a phone is, and its text 12 high: it grows with the page, and never shrinks below that.

use std::fmt::Write as _;

/// Bars under one another, each with its name and value above it.
pub struct Bars<'a> {
    pub title: &'a str,
    pub unit: &'a str,
    pub digits: usize,
    pub rows: Vec<Row<'a>>,
    /// Values that the first row should not exceed, by name.
    pub limits: Vec<(&'a str, f64)>,
}

pub struct Row<'a> {
    pub name: &'a str,
    pub value: f64,
    /// Which of the page's colours it has.
    pub color: usize,
    /// Behind the value.
    pub note: String,
}

/// Distributions: how much of the time (`at`, 0 to 1) a value was at most so much.
pub struct Curves<'a> {
    pub title: &'a str,
    pub unit: &'a str,
    pub at: &'a [f64],
    pub lines: Vec<Line<'a>>,
}

pub struct Line<'a> {
    pub name: &'a str,
    pub color: usize,
    pub values: &'a [f64],
}

const WIDTH: f64 = 360.0;
const ROW: f64 = 32.0;
const HEAD: f64 = 24.0;

impl Bars<'_> {
    pub fn svg(&self) -> String {
        let limits = self.limits.iter().map(|(_, value)| *value);
        let largest = self.rows.iter().map(|row| row.value).chain(limits).fold(f64::MIN_POSITIVE, f64::max);
        let scale = |value: f64| (value / largest).max(0.0) * WIDTH;
        let foot = if self.limits.is_empty() { 0.0 } else { 20.0 };
        let height = HEAD + ROW * self.rows.len() as f64 + foot;
        let mut svg = begin(self.title, height);
        for (place, row) in self.rows.iter().enumerate() {
            let (top, digits) = (HEAD + ROW * place as f64, self.digits);
            let Row { name, value, color, note } = row;
            let _ = write!(
                svg,
                r#"<text x="0" y="{:.1}">{}</text><text x="{WIDTH}" y="{:.1}" class="value">{value:.digits$} {}{}</text>"#,
                top + 12.0,
                escape(name),
                top + 12.0,
                escape(self.unit),
                escape(note)
            );
            let _ = write!(
                svg,
                r#"<rect x="0" y="{:.1}" width="{:.1}" height="10" rx="2" class="f{color}"/>"#,
                top + 16.0,
                scale(*value).max(1.0)
            );
        }
        let mut texts = Vec::new();
        for (name, value) in &self.limits {
            let x = scale(*value).min(WIDTH - 1.0);
            let _ = write!(
                svg,
                r#"<line x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}" class="limit {name}"/>"#,
                HEAD + 13.0,
                HEAD + 29.0
            );
            texts.push(format!("{name} ≤ {value:.*} {}", self.digits, self.unit));
        }
        if !texts.is_empty() {
            let _ = write!(
                svg,
                r#"<text x="0" y="{:.1}" class="small">Starling: {}</text>"#,
                height - 4.0,
                escape(&texts.join(", "))
            );
        }
        svg.push_str("</svg>");
        svg
    }
}

const LEFT: f64 = 44.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 200.0;
const LEGEND: f64 = 18.0;
/// The last of three nines; what is beyond is drawn there.
const AT_MAX: f64 = 0.999;
const MARKS: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];

impl Curves<'_> {
    pub fn svg(&self) -> String {
        let drawn = |at: f64| at <= AT_MAX;
        let values = self.lines.iter().flat_map(|line| self.at.iter().zip(line.values));
        let values = values.filter(|(at, _)| drawn(**at)).map(|(_, value)| *value);
        let (step, most) = ticks(values.fold(0.0, f64::max));
        let x = |at: f64| LEFT + nines(at) / nines(AT_MAX) * (WIDTH - LEFT - 8.0);
        let y = |value: f64| BOTTOM - value / most * (BOTTOM - TOP);
        let height = BOTTOM + 24.0 + LEGEND * self.lines.len() as f64;
        let mut svg = begin(self.title, height);
        let mut tick = 0.0;
        while tick <= most + step / 2.0 {
            let at = y(tick);
            let _ = write!(
                svg,
                r#"<line x1="{LEFT}" x2="{:.1}" y1="{at:.1}" y2="{at:.1}" class="grid"/><text x="{:.1}" y="{:.1}" class="value small">{}</text>"#,
                WIDTH - 8.0,
                LEFT - 4.0,
                at + 4.0,
                short(tick, step)
            );
            tick += step;
        }
        let _ = write!(
            svg,
            r#"<text x="{}" y="20" class="value small">{}</text>"#,
            LEFT - 4.0,
            escape(self.unit)
        );
        for (at, name) in MARKS {
            let at = x(at);
            let _ = write!(
                svg,
                r#"<line x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{BOTTOM}" class="grid"/><text x="{at:.1}" y="{:.1}" class="mark small">{name}</text>"#,
                BOTTOM + 14.0
            );
        }
        for (place, Line { name, color, values }) in self.lines.iter().enumerate() {
            let points = self.at.iter().zip(*values).filter(|(at, _)| drawn(**at));
            let points: Vec<String> =
                points.map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
            let _ = write!(svg, r#"<polyline points="{}" class="s{color}"/>"#, points.join(" "));
            let top = BOTTOM + 24.0 + LEGEND * place as f64;
            let _ = write!(
                svg,
                r#"<line x1="{LEFT}" x2="{}" y1="{:.1}" y2="{:.1}" class="s{color}"/><text x="{}" y="{:.1}">{}</text>"#,
                LEFT + 24.0,
                top + 6.0,
                top + 6.0,
                LEFT + 30.0,
                top + 10.0,
                escape(name)
            );
        }
        svg.push_str("</svg>");
        svg
    }
}

fn begin(title: &str, height: f64) -> String {
    let title = escape(title);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-label="{title}"><text x="0" y="14" class="title">{title}</text>"#
    )
}

/// How many nines: 0.9 is 1, 0.99 is 2.
fn nines(at: f64) -> f64 {
    -(1.0 - at.min(AT_MAX)).log10()
}

/// The distance of marks on an axis of about four, and the last of them.
fn ticks(largest: f64) -> (f64, f64) {
    let rough = (largest / 4.0).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * power);
    (step, (largest / step).ceil().max(1.0) * step)
}

fn short(value: f64, step: f64) -> String {
    let digits = (-step.log10().floor()).max(0.0) as usize;
    format!("{value:.digits$}")
}

/// Text as XML has it.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values() {
        let row = |name, value, color| Row { name, value, color, note: String::new() };
        let bars = Bars {
            title: "CPU <a & b>",
            unit: "µs",
            digits: 1,
            rows: vec![row("Starling", 4.0, 0), row("bun", 8.0, 2)],
            limits: vec![("must", 6.0)],
        };
        assert_eq!(
            bars.svg(),
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 360 108" role="img" aria-label="CPU &lt;a &amp; b&gt;"><text x="0" y="14" class="title">CPU &lt;a &amp; b&gt;</text><text x="0" y="36.0">Starling</text><text x="360" y="36.0" class="value">4.0 µs</text><rect x="0" y="40.0" width="180.0" height="10" rx="2" class="f0"/><text x="0" y="68.0">bun</text><text x="360" y="68.0" class="value">8.0 µs</text><rect x="0" y="72.0" width="360.0" height="10" rx="2" class="f2"/><line x1="270.0" x2="270.0" y1="37.0" y2="53.0" class="limit must"/><text x="0" y="104.0" class="small">Starling: must ≤ 6.0 µs</text></svg>"#
        );
    }

    #[test]
    fn curves_go_through_their_values() {
        let line = Line { name: "bun", color: 2, values: &[0.0, 10.0, 20.0, 999.0] };
        let svg = Curves { title: "t", unit: "ms", at: &[0.0, 0.9, 0.99, 1.0], lines: vec![line] }.svg();
        // The largest of all is not drawn; 20 ms is the top, 0.9 a third of the way.
        assert!(
            svg.contains(r#"<polyline points="44.0,200.0 146.7,114.0 249.3,28.0" class="s2"/>"#),
            "{svg}"
        );
        assert!(svg.contains(">p99.9</text>") && svg.contains(">15</text>"), "{svg}");
    }

    #[test]
    fn marks_are_round() {
        for (largest, step, most) in [(20.0, 5.0, 20.0), (83.0, 50.0, 100.0), (0.7, 0.2, 0.8)] {
            let (found, last) = ticks(largest);
            assert!(
                (found - step).abs() < step * 1e-6 && (last - most).abs() < most * 1e-6,
                "{largest}: {found} {last}"
            );
        }
        assert_eq!((short(0.4, 0.2), short(15.0, 5.0)), ("0.4".to_owned(), "15".to_owned()));
    }
}
