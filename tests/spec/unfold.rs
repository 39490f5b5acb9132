//! Legacy exceptions in folded text, `(try (do ..) (catch $tag ..))`, become the plain text that the parser reads: `try ..
//! catch $tag .. end`. Lines stay where they are.

/// A part of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Open,
    Close,
    /// A word, a string, or what stands between tokens.
    Other(&'a str),
}

/// The text without folded `try`.
pub(crate) fn unfold(text: String) -> String {
    if !text.contains("(do") {
        return text;
    }
    let tokens = tokens(&text);
    let mut out = String::with_capacity(text.len());
    let mut open: Vec<Expression<'_>> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => {
                let word = match tokens.get(at + 1) {
                    Some(Token::Other(word)) => *word,
                    _ => "",
                };
                let parent = open.last_mut().filter(|parent| parent.word == "try" && PARTS.contains(&word));
                let is_part = parent.is_some();
                if let Some(parent) = parent {
                    parent.is_delegated |= word == "delegate";
                }
                open.push(Expression { word, is_part, is_delegated: false });
                if !is_part && word != "try" {
                    out.push('(');
                }
            }
            Token::Close => out.push_str(match open.pop() {
                Some(Expression { word: "try", is_delegated: false, .. }) => " end ",
                Some(Expression { word: "try", .. } | Expression { is_part: true, .. }) => " ",
                _ => ")",
            }),
            // The word alone has no meaning in plain text.
            Token::Other("do") if open.last().is_some_and(|expression| expression.is_part) => {}
            Token::Other(text) => out.push_str(text),
        }
    }
    out
}

/// What a parenthesis that is open began.
struct Expression<'a> {
    word: &'a str,
    /// It is a part of a folded `try`.
    is_part: bool,
    /// It is a `try` that ends with `delegate`.
    is_delegated: bool,
}

/// The parts of a folded `try`.
const PARTS: [&str; 4] = ["do", "catch", "catch_all", "delegate"];

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '(' if rest.starts_with("(;") => rest.find(";)").map_or(rest.len(), |end| end + 2),
            '(' | ')' => 1,
            ';' => rest.find('\n').unwrap_or(rest.len()),
            '"' => string_len(rest),
            c if c.is_whitespace() => rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()),
            _ => rest.find(|c: char| c.is_whitespace() || "();\"".contains(c)).unwrap_or(rest.len()),
        };
        let (token, tail) = rest.split_at(len);
        tokens.push(match token {
            "(" => Token::Open,
            ")" => Token::Close,
            other => Token::Other(other),
        });
        rest = tail;
    }
    tokens
}

/// Length of the string at the start of a text, with its quotes.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}
