#!/usr/bin/env bash
# Checks the layers of src/: no module imports one of a higher layer, no top-level modules import each other in a circle,
# and pure modules use no I/O. Lists every violation; status 0 only if there is none.
# Usage: scripts/check-layers.sh [SRC]         (default: src)
#        scripts/check-layers.sh --modules     prints the modules of the table
#
# The sources are read as rustc does it: from lib.rs along the `mod` declarations, with #[path]. An import is each path that
# starts with `crate::` or reaches the crate's root by `super::`, in `use` groups and in code. What is under #[cfg(test)] may
# import anything; so may lib.rs and the programs (main.rs, bin/), which are above all layers.
set -euo pipefail
cd "$(dirname "$0")/.."

# The layers, lowest first. A module may import those of its own layer and of lower ones.
#   only:A,B   it may import A and B alone (only: alone means nothing)
#   not:A,B    it must not import A and B
#   pure       it must not use std's fs, process, env, net and thread
# `test` is not a layer: such a module exists under #[cfg(test)] alone. A row with a slash is for one file.
table='
sys         1
error       1  only:
model       1  pure
protocol    1
tree        1  only:
failpoints  1
config      2
host        2
payload     2
qemu        2  pure not:config,host
plan        3  pure
instance    3
jail        3
checkpoint  3
supervise   3
net         3
share       3
vfio        3
launch      4
remote      4
doctor      4
cli         5
agent       6  only:protocol,tree
testing     test
supervise/state_machine.rs  pure
jail/policy.rs  pure
net/policy.rs  pure
net/names.rs  pure
'

if [ "${1:-}" = --modules ]; then
    awk 'NF && $1 !~ "/" {print $1}' <<<"$table"
    exit
fi
src=${1:-src}
[ -f "$src/lib.rs" ] || { echo "check-layers: error: no $src/lib.rs" >&2; exit 1; }

# In the C locale a character is a byte, for every awk.
find "$src" -name '*.rs' -print | LC_ALL=C sort | LC_ALL=C TABLE=$table awk -v src="$src" '
function fail(text) { print text; failures++ }

# --- Words. The words of FILE are word[FILE, 1..words[FILE]], each on line at[FILE, i]. Comments are left out; a string is
# one word that starts with a quote.
function add(file, text) { word[file, ++words[file]] = text; at[file, words[file]] = number }
function read_words(file,    line, end) {
    number = comment = raw = 0; string = ""
    while ((getline line <file) > 0) {
        number++
        while (line != "") {
            if (comment) {
                if (!match(line, /\/\*|\*\//)) break
                comment += substr(line, RSTART, 2) == "/*" ? 1 : -1
                line = substr(line, RSTART + 2)
            } else if (string != "") {
                end = raw ? index(line, string) : end_of_string(line)
                if (!end) break
                line = substr(line, end + length(string))
                string = ""
            } else if (match(line, /^[ \t]+/)) line = substr(line, RLENGTH + 1)
            else if (line ~ /^\/\//) break
            else if (line ~ /^\/\*/) { comment = 1; line = substr(line, 3) }
            else if (match(line, /^[bc]?r#*"/)) {
                # It ends with a quote and as many hashes.
                string = substr(line, 1, RLENGTH - 1); sub(/^[bc]?r/, "\"", string)
                add(file, "\"")
                line = substr(line, RLENGTH + 1); raw = 1
            } else if (match(line, /^[bc]?"/)) {
                line = substr(line, RLENGTH + 1)
                end = end_of_string(line)
                add(file, "\"" (end ? substr(line, 1, end - 1) : ""))
                if (end) line = substr(line, end + 1)
                else { string = "\""; raw = 0; break }
            }
            # A character or a lifetime.
            else if (match(line, /^b?\047(\\[^\047]+|\\\047|[^\047\\]|[\200-\377]+)\047/)) line = substr(line, RLENGTH + 1)
            else if (match(line, /^\047[A-Za-z_][A-Za-z0-9_]*/)) line = substr(line, RLENGTH + 1)
            else {
                if (!match(line, /^(r#)?[A-Za-z0-9_]+/) && !match(line, /^::/)) RLENGTH = 1
                add(file, substr(line, 1, RLENGTH))
                line = substr(line, RLENGTH + 1)
            }
        }
    }
    close(file)
}
function end_of_string(line) { return match(line, /^([^"\\]|\\.)*"/) ? RLENGTH : 0 }

# --- Modules. A module is named by its path from the crate, "a::b"; the crate itself is "".
function depth_of(module,    parts) { return module == "" ? 0 : split(module, parts, "::") }
function top_of(module) { sub(/::.*/, "", module); return module }
function parent_of(module) { return sub(/::[^:]*$/, "", module) ? module : "" }
function child_of(module, name) { return module == "" ? name : module "::" name }
function folder_of(file) { sub(/\/[^\/]*$/, "", file); return file }
function tidy(path) { while (sub(/[^\/]+\/\.\.\//, "", path)); gsub(/\/\.\//, "/", path); return path }

# declare: `mod NAME;` in FILE, inside the inline modules INSIDE ("a/b/"), with the files of #[path] in PATHS.
function declare(file, module, inside, name, paths,    folder, i, n, list) {
    folder = folder_of(file) "/"
    if (paths != "") {
        n = split(paths, list, "\n")
        for (i = 1; i <= n; i++) if (list[i] != "") visit(tidy(folder list[i]), child_of(module, name))
        return
    }
    if (file !~ /\/(mod|lib)\.rs$/) { sub(/\.rs$/, "/", file); folder = file }
    folder = folder inside
    if ((folder name ".rs") in known) visit(folder name ".rs", child_of(module, name))
    else visit(folder name "/mod.rs", child_of(module, name))
}
function visit(file, module) {
    if (!(file in known)) { fail(file ": no such file, for module " module); return }
    if ((file, module) in visited) return
    visited[file, module]
    queue[++queued] = file; module_of[queued] = module
}

# --- Items.
# skip_item: the index after the item, field, statement or arm that starts at I.
function skip_item(file, i,    depth, text, is_item, is_use, first) {
    while (word[file, i] == "#") i = skip_attribute(file, i)
    first = word[file, i]
    is_item = first ~ /^(pub|fn|mod|use|impl|struct|enum|union|const|static|type|trait|unsafe|extern|async|macro_rules)$/
    for (; i <= words[file]; i++) {
        text = word[file, i]
        if (text == "use" && !depth) is_use = 1
        if (text ~ /^[({[]$/) depth++
        else if (text ~ /^[]})]$/) {
            if (!depth) return i
            if (!--depth && text == "}" && !is_use) return i + 1
        } else if (!depth && (text == ";" || (text == "," && !is_item))) return i + 1
    }
    return i
}
# skip_attribute: the index after the attribute at I; its words in `attribute`.
function skip_attribute(file, i,    depth) {
    attribute = ""
    for (i++; i <= words[file]; i++) {
        attribute = attribute word[file, i]
        if (word[file, i] == "[") depth++
        if (word[file, i] == "]" && !--depth) return i + 1
    }
    return i
}

# read_items: what FILE, which is MODULE, declares and imports.
function read_items(file, module,    i, text, inline, depth, inside, paths, test, before) {
    inline = 0; depth = 0; inside = ""
    for (i = 1; i <= words[file]; ) {
        text = word[file, i]
        if (text == "#" && word[file, i + 1] ~ /^[[!]$/) {
            i = skip_attribute(file, i)
            if (attribute ~ /^!?\[cfg\((test|all\(([^()]*,)?test[,)].*)\)\]$/) {
                if (attribute ~ /^!/) return
                test = 1
            }
            while (match(attribute, /path="[^],)]*/)) {
                paths = paths substr(attribute, RSTART + 6, RLENGTH - 6) "\n"
                attribute = substr(attribute, RSTART + RLENGTH)
            }
            continue
        }
        if (test) {
            before = i
            while (word[file, before] ~ /^(pub|\(|crate|super|\))$/) before++
            if (module == "" && word[file, before] == "mod") test_module[word[file, before + 1]]
            i = skip_item(file, i); test = 0; paths = ""
            continue
        }
        if (text == "{") depth++
        else if (text == "}") {
            depth--
            if (inline && depth == opened[inline]) {
                inline--; module = parent_of(module); sub(/[^\/]*\/$/, "", inside)
            }
        } else if (text == "mod" && word[file, i + 2] ~ /^[;{]$/) {
            if (module == "") top[word[file, i + 1]] = file ":" at[file, i]
            if (word[file, i + 2] == ";") declare(file, module, inside, word[file, i + 1], paths)
            else {
                opened[++inline] = depth++
                module = child_of(module, word[file, i + 1]); inside = inside word[file, i + 1] "/"
            }
            i += 3; paths = ""
            continue
        } else if (text ~ /^(crate|super|self|std)$/ && word[file, i + 1] == "::" && word[file, i - 1] != "::") {
            if (text == "crate") i = read_path(file, module, i + 2, 0, 0)
            else if (text == "std") i = read_path(file, module, i + 2, 0, 1)
            else i = read_path(file, module, i, depth_of(module), 0)
            paths = ""
            continue
        } else if (text == "crate" && word[file, i - 1] == "use" || text == "self" && word[file, i - 1] == "crate" && word[file, i - 2] == "extern")
            import(file, module ? module : "lib", i, "*")
        if (text !~ /^(pub|\(|\)|crate)$/) paths = ""
        i++
    }
}
# read_path: the path from I on, relative to the module LEVEL names below the crate (or to std); the index after it.
function read_path(file, module, i, level, in_std,    depth) {
    while (word[file, i] ~ /^(super|self)$/ && word[file, i + 1] == "::") {
        if (word[file, i] == "super" && level) level--
        i += 2
    }
    if (word[file, i] == "{") {
        while (word[file, i] != "}") {
            i = read_path(file, module, i + 1, level, in_std)
            for (depth = 0; i <= words[file] && (depth || word[file, i] !~ /^[,}]$/); i++) {
                if (word[file, i] == "{") depth++
                if (word[file, i] == "}") depth--
            }
            if (i > words[file]) return i
        }
        return i + 1
    }
    if (word[file, i] == "super" && word[file, i + 1] != "::" && level) level--
    if (in_std) { if (word[file, i] ~ /^(fs|process|env|net|thread)$/) io(file, module, i) }
    else if (!level && word[file, i] !~ /^[,}]$/ && word[file, i + 1] != "!") import(file, module, i, word[file, i])
    return i + 1
}

# --- Rules.
function import(file, module, i, to,    from, place) {
    from = top_of(module); place = file ":" at[file, i]
    if (from == "" || from == to) return
    if (to !~ /^[a-z_0-9]+$/ || to == "self" || to == "super") { fail(place ": " from " imports the whole crate, or a name at its root (" to "); name the module"); return }
    imports[++imported] = from " " to " " place
    if (!((from, to) in edge)) edge[from, to] = place
}
function io(file, module, i,    from) {
    from = top_of(module)
    if ((from in pure) || (substr(file, length(src) + 2) in pure)) fail(file ":" at[file, i] ": " (from in pure ? from : "the file") " is pure, and uses std::" word[file, i])
}
function in_list(name, list) { return index("," list ",", "," name ",") > 0 }

{ known[$0] }
END {
    rows = split(ENVIRON["TABLE"], row, "\n")
    for (i = 1; i <= rows; i++) {
        n = split(row[i], field, /[ \t]+/)
        if (!n) continue
        name = field[1]
        if (name ~ /\//) { if (!((src "/" name) in known)) fail("the table has the file " name ", and src has not") }
        else layer[name] = field[2]
        for (j = 2; j <= n; j++) {
            if (field[j] == "pure") pure[name]
            else if (field[j] ~ /^only:/) only[name] = substr(field[j], 6)
            else if (field[j] ~ /^not:/) banned[name] = substr(field[j], 5)
        }
    }
    visit(src "/lib.rs", "")
    for (next_file = 1; next_file <= queued; next_file++) {
        if (!words[queue[next_file]]) read_words(queue[next_file])
        read_items(queue[next_file], module_of[next_file])
    }

    for (name in top) {
        if (!(name in layer)) fail(top[name] ": module " name " has no layer: add it to the table in scripts/check-layers.sh")
        else if (layer[name] == "test") fail(top[name] ": module " name " must be under #[cfg(test)]")
    }
    for (name in layer)
        if (!(name in top) && layer[name] != "test") fail("the table has the module " name ", and src has not")
    for (i = 1; i <= imported; i++) {
        split(imports[i], part, " ")
        from = part[1]; to = part[2]; place = part[3]
        if (to in test_module || (to in layer && layer[to] == "test")) fail(place ": " from " imports " to ", which exists in tests alone")
        else if (!(to in top)) fail(place ": " from " imports " to ", which is not a module at the root of the crate")
        else if (!(from in layer) || !(to in layer)) continue
        else if (from in only && !in_list(to, only[from])) fail(place ": " from " may import " (only[from] == "" ? "nothing" : only[from] " alone") ", and imports " to)
        else if (from in banned && in_list(to, banned[from])) fail(place ": " from " must not import " to)
        else if (layer[to] > layer[from]) fail(place ": " from " (layer " layer[from] ") imports " to " (layer " layer[to] ")")
    }

    # reach[a, b]: a imports b, directly or not.
    for (pair in edge) { split(pair, part, SUBSEP); reach[part[1], part[2]]; node[part[1]]; node[part[2]] }
    for (k in node) for (a in node) if ((a, k) in reach) for (b in node) if ((k, b) in reach) reach[a, b]
    for (a in node) {
        if (!((a, a) in reach) || a in shown) continue
        circle = ""
        for (b in node) if ((a, b) in reach && (b, a) in reach) {
            shown[b]
            for (c in node) if ((b, c) in edge && (c, a) in reach && (a, c) in reach)
                circle = circle "\n    " b " imports " c " at " edge[b, c]
        }
        fail("these modules import each other in a circle:" circle)
    }
    if (failures) { print "check-layers: error: " failures " violations"; exit 1 }
    print "check-layers: " imported " imports, all to the same layer or a lower one, and no circle"
}' >&2
