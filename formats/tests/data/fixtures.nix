# Paths with every kind of relation between them; the builders need only /bin/sh and coreutils.
let
  run = name: attrs: script: derivation ({
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
    PATH = "/usr/bin:/bin";
  } // attrs);
  floating = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
in
rec {
  leaf = run "leaf-1.0" { } "mkdir $out; echo leaf > $out/leaf";
  # Refers to itself, to another path and, in one output, to the other output.
  self = run "self+x_1.0" { outputs = [ "out" "dev" ]; } ''
    mkdir -p $out/bin $dev
    echo "$out ${leaf}" > $out/bin/run; chmod +x $out/bin/run
    ln -s ${leaf}/leaf $out/link
    ln -s $out $dev/out
  '';
  bare = builtins.toFile "text?a=b" "a text without references";
  text = builtins.toFile "text.txt" "a text that mentions ${bare}";
  ca = run "floating" floating "mkdir $out; echo floating > $out/x";
  # Content-addressed with a reference to itself and to another such path.
  ca-self = run "floating-self" floating "mkdir $out; echo $out ${ca} > $out/x";
}
