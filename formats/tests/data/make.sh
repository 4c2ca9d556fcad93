#!/bin/sh
# Makes the fixtures beside this file with the `nix` that is installed. Needs root (a private mount over /nix), writes
# nothing outside this directory and a temporary one. Keys are random, so signatures differ each time.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    mkdir -p "$scratch/nix" "$scratch/home"
    HOME=$scratch/home NIX_REMOTE='' SCRATCH=$scratch unshare --mount "$0" inside
    exit
fi
mount --bind "$SCRATCH/nix" /nix
mkdir -p /nix/store /nix/var
export NIX_CONFIG='
experimental-features = nix-command ca-derivations
build-users-group =
sandbox = false
substituters =
'
cd "$here"
rm -rf nar cache keys compression
mkdir nar keys compression

# Trees that no one keeps in git: odd names, every padding, empty things.
tree=$SCRATCH/tree
mkdir -p "$tree/dir/empty" "$tree/a" "$tree/A"
for size in 0 1 7 8 9 15 16 17; do head -c $size /dev/zero | tr '\0' x >"$tree/size-$size"; done
printf 'run\n' >"$tree/run" && chmod 755 "$tree/run"
ln -s missing "$tree/dangling"
ln -s ../size-8 "$tree/dir/up"
for name in a.b a-b a0 aa 'with space' '"quoted\"' .hidden ... é 日本 "$(printf 'tab\tnl\nbell\a')" "$(head -c 255 /dev/zero | tr '\0' n)"; do
    printf '%s' "$name" >"$tree/$name"
done
nix-store --dump "$tree" >nar/tree.nar
nix-store --dump "$tree/run" >nar/executable.nar
nix-store --dump "$tree/size-0" >nar/empty-file.nar
nix-store --dump "$tree/dir/empty" >nar/empty-directory.nar
nix-store --dump "$tree/dangling" >nar/symlink.nar
mkdir "$SCRATCH/bytes" && printf x >"$SCRATCH/bytes/$(printf '\377\376')"
nix-store --dump "$SCRATCH/bytes" >nar/not-utf8.nar

nix key generate-secret --key-name fixtures.example.org-1 >keys/nix-key.secret
nix key convert-secret-to-public <keys/nix-key.secret >keys/nix-key.public
nix-store --generate-binary-cache-key fixtures.example.org-2 keys/nix-store.secret keys/nix-store.public

paths="$(nix-build --no-out-link fixtures.nix) $(nix-build --no-out-link -A self.dev fixtures.nix)"
paths="$paths $(nix-instantiate -A self fixtures.nix 2>/dev/null)"
paths="$paths $(nix-instantiate --eval --raw --expr '(import ./fixtures.nix).text' 2>/dev/null ||
    nix eval --raw --file fixtures.nix text)"
cp -r "$tree" "$SCRATCH/odd-names"
paths="$paths $(nix-store --add "$SCRATCH/odd-names")"
printf 'hello\n' >"$SCRATCH/hello"
for algorithm in md5 sha1 sha256 sha512; do
    paths="$paths $(nix-store --add-fixed $algorithm "$SCRATCH/hello")"
    paths="$paths $(nix-store --add-fixed --recursive $algorithm "$SCRATCH/hello")"
done
nix copy --to "file://$here/cache?write-nar-listing=1&compression=none&secret-key=$here/keys/nix-key.secret" $paths
nix copy --to "file://$here/cache?compression=none&secret-key=$here/keys/nix-key.secret" --file fixtures.nix ca ca-self

one=$(nix-build --no-out-link -A leaf fixtures.nix)
for compression in xz bzip2 gzip zstd br; do
    nix copy --to "file://$SCRATCH/$compression?compression=$compression" "$one"
    cp "$SCRATCH/$compression"/*.narinfo "compression/$compression.narinfo"
done
nix --version >VERSION
