//! Colours can be told from the page, in both themes.
//!
//! Contrast is the ratio of relative luminances as WCAG 2 defines it: 4.5 for text, 3 for what is drawn.

const STYLE: &str = include_str!("../style.css");

/// `--name: light-dark(#rrggbb, #rrggbb)`: all that are called `name`, light and dark.
fn colours(name: &str) -> Vec<[u32; 2]> {
    let start = format!("--{name}: light-dark(");
    let pair = |rest: &str| {
        let (pair, _) = rest.split_once(')')?;
        let (light, dark) = pair.split_once(", ")?;
        let number = |colour: &str| u32::from_str_radix(colour.strip_prefix('#')?, 16).ok();
        Some([number(light)?, number(dark)?])
    };
    STYLE.split(&start).skip(1).map(|rest| pair(rest).expect("two colours of six digits")).collect()
}

fn luminance(colour: u32) -> f64 {
    let part = |shift: u32| {
        let part = f64::from(colour >> shift & 0xff) / 255.0;
        if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
}

fn contrast(one: u32, other: u32) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn the_contrast_of_black_and_white_is_twenty_one() {
    assert!((contrast(0, 0x00ff_ffff) - 21.0).abs() < 1e-9);
    assert_eq!(contrast(0x0012_3456, 0x0012_3456), 1.0);
}

#[test]
fn text_and_lines_stand_out_from_the_page_in_both_themes() {
    let pages = [colours("page"), colours("sheet"), colours("answer")].concat();
    let text = ["ink", "quiet", "accent", "bad", "good"].map(|name| (name, 4.5));
    assert_eq!((pages.len(), colours("c").len()), (3, 21));
    for (name, least) in text.into_iter().chain([("c", 3.0)]) {
        let page = pages[0];
        for colour in colours(name) {
            for theme in 0..2 {
                let found = contrast(colour[theme], page[theme]);
                assert!(least <= found, "--{name} #{:06x}: {found:.2}", colour[theme]);
            }
        }
    }
    for page in &pages {
        assert!(
            contrast(colours("ink")[0][0], page[0]) > 7.0
                && contrast(colours("ink")[0][1], page[1]) > 7.0
        );
    }
}
