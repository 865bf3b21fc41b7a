//! The framing of a dialect file: `framing = "length2"`, or a table with the length, keep-alives, TPDU and header.

use crate::codec::charset::digits;
use crate::codec::envelope::{Digits, Envelope, PREFACE_BYTES_MAX, Preface};
use crate::codec::frame::{FRAMINGS, Framing, KEEP_ALIVES, KeepAlive};
use crate::codec::section::{Outcome, Section};
use crate::codec::toml::Value;
use crate::codec::value::unhex;

/// Reads the framing, and what stands before each body.
pub(super) fn framing(root: Section<'_>) -> Outcome<(Framing, Envelope)> {
    let known = FRAMINGS.map(|framing| (framing, framing.name));
    let missing = |section: Section<'_>, key: &str| section.wrong(key, "is missing".to_owned());
    let node = root.need("framing")?;
    let Value::Table(_) = &node.value else {
        let framing = root.choice("framing", &known)?;
        let framing = framing.ok_or_else(|| missing(root, "framing"))?;
        return Ok((framing, Envelope::default()));
    };
    let section = root.of(node, "framing")?;
    section.only(&["length", "keep_alive", "tpdu", "header"])?;
    section.need("length")?;
    let mut framing = section
        .choice("length", &known)?
        .ok_or_else(|| missing(section, "length"))?;
    framing.keep_alive = section
        .choice("keep_alive", &KEEP_ALIVES)?
        .unwrap_or(KeepAlive::Ignore);
    Ok((framing, envelope(section)?))
}

fn envelope(section: Section<'_>) -> Outcome<Envelope> {
    let mut text = String::new();
    let mut parts = Vec::new();
    let mut part = |name: String, value: &str, hexadecimal: bool| {
        parts.push(Digits {
            name,
            at: text.len(),
            count: value.len(),
            hexadecimal,
        });
        text.push_str(value);
    };
    let tpdu = section.node("tpdu");
    if let Some(node) = tpdu {
        let inner = section.of(node, "framing.tpdu")?;
        inner.only(&["id", "destination", "source"])?;
        for (key, count) in [("id", 2), ("destination", 4), ("source", 4)] {
            let value = inner.as_text(key, inner.need(key)?)?;
            if value.len() != count || unhex(value.as_bytes()).is_none() {
                return Err(inner.wrong(key, format!("is not {count} hexadecimal digits")));
            }
            part(format!("tpdu.{key}"), value, true);
        }
    }
    if let Some(node) = section.node("header") {
        let inner = section.of(node, "framing.header")?;
        for (key, node) in inner.entries() {
            let value = inner.as_text(key, node)?;
            if value.is_empty() || !digits(value.as_bytes()) {
                return Err(inner.wrong(key, "is not decimal digits".to_owned()));
            }
            part(format!("header.{key}"), value, false);
        }
    }
    let bytes = unhex(text.as_bytes()).filter(|bytes| bytes.len() <= PREFACE_BYTES_MAX);
    let Some(bytes) = bytes else {
        let problem = format!("takes {} digits, not whole bytes up to 16", text.len());
        return Err(section.wrong("header", problem));
    };
    Ok(Envelope {
        default: Preface::of(&bytes),
        tpdu: tpdu.is_some(),
        parts,
    })
}
