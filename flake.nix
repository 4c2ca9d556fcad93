{
  description = "Flywheel Cache: a native Nix binary cache, deduplicated and Attic-compatible";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ];
      forEach = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});

      packagesOf =
        pkgs:
        let
          build = args: pkgs.callPackage ./nix/package.nix args;
        in
        rec {
          flywheel-cache = build { };
          attic-client = build {
            pname = "flywheel-push";
            crates = [ "client" ];
          };
          attic-server = build {
            pname = "flywheel-server";
            crates = [ "server" ];
          };
          default = flywheel-cache;
        }
        // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux rec {
          container = pkgs.callPackage ./nix/image.nix {
            flywheel-server = build {
              pname = "flywheel-server";
              crates = [ "server" ];
            };
          };
          attic-server-image = container;
        };
    in
    {
      packages = forEach packagesOf;

      apps = forEach (
        pkgs:
        let
          packages = self.packages.${pkgs.stdenv.hostPlatform.system};
          app = package: program: description: {
            type = "app";
            program = "${package}/bin/${program}";
            meta = { inherit description; };
          };
        in
        rec {
          flywheel-server = app packages.attic-server "flywheel-server" "The cache server";
          flywheel-push = app packages.attic-client "flywheel-push" "The client: push, administer";
          atticd = flywheel-server;
          attic = flywheel-push;
          default = flywheel-server;
        }
      );

      overlays.default = final: _previous: {
        inherit (packagesOf final) flywheel-cache attic-client attic-server;
      };

      nixosModules = {
        flywheel-cache = import ./nix/module.nix;
        attic-cache = import ./nix/consumer.nix;
        default.imports = [
          ./nix/module.nix
          ./nix/consumer.nix
        ];
      };

      checks = forEach (
        pkgs:
        lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux (
          import ./nix/checks.nix {
            inherit pkgs nixpkgs;
            module = self.nixosModules.default;
            inherit (self.packages.${pkgs.stdenv.hostPlatform.system}) flywheel-cache;
          }
        )
      );

      devShells = forEach (pkgs: rec {
        default = pkgs.mkShell {
          packages = [
            pkgs.cargo
            pkgs.rustc
            pkgs.clippy
            pkgs.rustfmt
            pkgs.rust-analyzer
            pkgs.cargo-nextest
            pkgs.cargo-deny
            pkgs.sqlite
            pkgs.jq
          ];
        };
        ci = pkgs.mkShell {
          packages = [
            pkgs.cargo
            pkgs.rustc
            pkgs.clippy
            pkgs.rustfmt
            pkgs.cargo-nextest
          ];
        };
      });

      formatter = forEach (pkgs: pkgs.nixfmt-rfc-style);
    };
}
