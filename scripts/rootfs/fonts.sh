# shellcheck shell=bash
# The fonts of the guest: glyphs for every script that Unicode recommends for names (UAX #31, table 5: those in everyday
# use). Sourced by configure.sh.
#
# DejaVu Sans Mono, the terminal's font, has Latin, Greek, Cyrillic, Arabic and the frames. WenQuanYi Micro Hei has Chinese,
# Japanese and Korean in 1.7 MB packed, all 11,172 syllables of Hangul among them; Noto Sans CJK would take 61 MB. Noto Sans,
# one regular face for each of the others, takes 1.2 MB; all of Noto's faces 14 MB.

# The names of Noto's faces.
noto_sans=(
    Arabic Armenian Bengali Devanagari Ethiopic Georgian Gujarati Gurmukhi Hebrew Kannada Khmer Lao Malayalam Myanmar
    Oriya Sinhala Tamil Telugu Thaana Thai
)
noto_serif=(Tibetan) # has no face without serifs

# trim_fonts ROOT: of Noto's faces, those above and the emoji stay.
trim_fonts() {
    local name keep=(! -name 'NotoColorEmoji*')
    for name in "${noto_sans[@]/#/NotoSans}" "${noto_serif[@]/#/NotoSerif}"; do keep+=(! -name "$name-Regular.ttf"); done
    find "$1/usr/share/fonts" -path '*/noto/*' -type f "${keep[@]}" -delete
}
