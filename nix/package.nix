# The server and the client, or one of them: `crates` chooses. The client alone is what CI jobs fetch first, so its closure stays small.
{
  lib,
  rustPlatform,
  pname ? "flywheel-cache",
  crates ? [
    "server"
    "client"
  ],
}:
let
  manifest = (lib.importTOML ../Cargo.toml).workspace;

  # Attic's names for the same programs: scripts and images written for Attic find what they call.
  links = {
    server = ''
      ln -s flywheel-server $out/bin/atticd
      ln -s flywheel-server $out/bin/atticadm
    '';
    client = ''
      ln -s flywheel-push $out/bin/attic
    '';
  };
  mainProgram = if crates == [ "client" ] then "flywheel-push" else "flywheel-server";
in
rustPlatform.buildRustPackage {
  inherit pname;
  inherit (manifest.package) version;

  # Only what Cargo reads: a change to a document or a script rebuilds nothing.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../formats
      ../protocol
      ../server
      ../client
      ../migrations
      ../tests
      ../benches
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = lib.concatMap (crate: [
    "-p"
    crate
  ]) crates;

  # The integration tests drive real Nix clients as root, which a build sandbox does not allow: scripts/test runs those.
  cargoTestFlags = [
    "--workspace"
    "--exclude"
    "it"
  ];
  # One package tests for all: the server-only and client-only builds are the same sources.
  doCheck = lib.length crates > 1;

  postInstall = lib.concatMapStrings (crate: links.${crate}) crates;

  meta = {
    description = "Native Nix binary cache: deduplicated, Attic-compatible";
    license = [
      lib.licenses.asl20
      lib.licenses.mit
    ];
    platforms = lib.platforms.unix;
    inherit mainProgram;
  };
}
