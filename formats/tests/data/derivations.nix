# Derivations of every kind, each needing others; nothing is ever built. `sh make-derivations` writes them beside this file.
let
  run = name: attrs: derivation ({
    inherit name;
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-c" "echo \"quoted\" \\ back > $out\n\t# tab" ];
  } // attrs);
  floating = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  sha256 = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";
in
rec {
  leaf = run "leaf-1.0" { };
  flat = run "flat.tar.gz" { outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = sha256; urls = [ "https://a" ]; };
  # The same contents fetched otherwise: another derivation, the same hash modulo.
  mirrored = run "flat.tar.gz" { outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = sha256; urls = [ "https://b" ]; };
  recursive = run "recursive" { outputHashMode = "recursive"; outputHash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; outputHashAlgo = null; };
  md5 = run "md5" { outputHashMode = "recursive"; outputHashAlgo = "md5"; outputHash = "b1946ac92492d2347c6235b4d2611184"; };
  sha1 = run "sha1" { outputHashMode = "flat"; outputHashAlgo = "sha1"; outputHash = "f572d396fae9206628714fb2ce00f72e94f2258f"; };
  sha512 = run "sha512" {
    outputHashMode = "recursive"; outputHashAlgo = "sha512";
    outputHash = "e7c22b994c59d9cf2b48e549b1e24666636045930d3da7c1acb299d1c3b7f931f94aae41edda2c2b207a36e10f8bcb8d45223e54878f5b316e7ce3b6bc019629";
  };
  several = run "several+x_1.0" { outputs = [ "out" "dev" "lib-2" ]; inherit leaf; source = builtins.toFile "source" "text"; };
  of-flat = run "user" { inherit flat leaf; inherit (several) dev; };
  of-mirrored = run "user" { flat = mirrored; inherit leaf; inherit (several) dev; };
  of-both = run "both" { inherit flat mirrored; };
  of-users = run "users" { inputs = [ of-flat of-both md5 sha1 sha512 recursive several.lib-2 ]; };
  structured = run "structured" { __structuredAttrs = true; list = [ 1 2 ]; inherit leaf; __noChroot = true; };
  no-chroot = run "no-chroot" { __noChroot = true; };
  ca = run "floating" floating;
  of-ca = run "of-floating" { inherit ca leaf; };
  of-of-ca = run "of-of-floating" { inherit of-ca; };
  not-text = run "not-ascii" { text = "ümläut ${leaf}"; };
}
