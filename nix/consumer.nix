# NixOS: services.attic-cache makes this machine substitute from a cache. The option names are those that consumers of Attic use.
{ config, lib, ... }:
let
  cfg = config.services.attic-cache;
in
{
  options.services.attic-cache = {
    enable = lib.mkEnableOption "substitution from a Flywheel (or Attic) cache";

    cacheUrl = lib.mkOption {
      type = lib.types.str;
      example = "https://cache.example.org/main";
      description = "The cache's address, with the cache's name: what `substituters` wants.";
    };

    publicKey = lib.mkOption {
      type = lib.types.str;
      example = "main:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
      description = "The cache's public key: what `trusted-public-keys` wants.";
    };
  };

  config = lib.mkIf cfg.enable {
    nix.settings = {
      substituters = [ cfg.cacheUrl ];
      trusted-public-keys = [ cfg.publicKey ];
    };
  };
}
