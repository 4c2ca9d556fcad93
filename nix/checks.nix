# `nix flake check`: the package with its unit tests, formatting, and the module evaluated in a whole system.
{
  pkgs,
  nixpkgs,
  module,
  flywheel-cache,
}:
{
  package = flywheel-cache;

  formatting = pkgs.runCommand "flywheel-cache-formatting" { nativeBuildInputs = [ pkgs.rustfmt pkgs.cargo ]; } ''
    cp -r ${flywheel-cache.src}/. .
    cp ${../rustfmt.toml} rustfmt.toml
    cargo fmt --all --check
    touch $out
  '';

  unit =
    let
      system = nixpkgs.lib.nixosSystem {
        modules = [
          module
          {
            nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system;
            system.stateVersion = "25.05";
            services.flywheel-cache.enable = true;
            services.flywheel-cache.package = flywheel-cache;
          }
        ];
      };
    in
    pkgs.writeText "flywheel-cache-unit" system.config.systemd.units."flywheel-cache.service".text;
}
