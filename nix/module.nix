# NixOS: services.flywheel-cache runs the server on this machine.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.flywheel-cache;
  toml = pkgs.formats.toml { };
  settingsFile = toml.generate "server.toml" cfg.settings;
  stateDirectory = "flywheel-cache";
  stateFolder = "/var/lib/${stateDirectory}";
in
{
  options.services.flywheel-cache = {
    enable = lib.mkEnableOption "Flywheel Cache, a Nix binary cache server";

    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.flywheel-cache or (pkgs.callPackage ./package.nix { });
      defaultText = lib.literalExpression "pkgs.flywheel-cache";
      description = "The package that holds `flywheel-server`.";
    };

    settings = lib.mkOption {
      inherit (toml) type;
      default = { };
      example = lib.literalExpression ''
        {
          listen = "[::]:8080";
          api-endpoint = "https://cache.example.org/";
          garbage-collection.default-retention-period = "3 months";
        }
      '';
      description = ''
        The server's configuration, as in `server.toml`. Whatever is written here ends up world-readable in the Nix store:
        secrets belong in {option}`services.flywheel-cache.environmentFile`.
      '';
    };

    environmentFile = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      example = "/run/secrets/flywheel-cache.env";
      description = ''
        A file of `NAME=value` lines that only root can read, for secrets: `ATTIC_SERVER_TOKEN_HS256_SECRET_BASE64`
        (the secret that tokens are signed with). Without one the server makes a secret of its own on first start.
      '';
    };

    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether to open the port of `settings.listen` in the firewall.";
    };
  };

  config = lib.mkIf cfg.enable {
    services.flywheel-cache.settings = {
      listen = lib.mkDefault "[::]:8080";
      database.url = lib.mkDefault "sqlite://${stateFolder}/server.db?mode=rwc";
      storage = lib.mkDefault {
        type = "local";
        path = "${stateFolder}/storage";
      };
    };

    # `flywheel-server token make …` on the same machine; the service's own settings are in /etc.
    environment.etc."flywheel-cache/server.toml".source = settingsFile;
    environment.systemPackages = [ cfg.package ];

    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [
      (lib.toInt (lib.last (lib.splitString ":" cfg.settings.listen)))
    ];

    systemd.services.flywheel-cache = {
      description = "Flywheel Cache, a Nix binary cache server";
      documentation = [ "https://nix.dev/manual/nix/latest/store/types/http-binary-cache-store" ];
      wantedBy = [ "multi-user.target" ];
      after = [ "network-online.target" ];
      wants = [ "network-online.target" ];
      restartTriggers = [ settingsFile ];

      serviceConfig = {
        Type = "notify";
        ExecStart = "${lib.getExe' cfg.package "flywheel-server"} --config ${settingsFile}";
        # Where the server keeps a secret of its own, if the file below gives it none.
        Environment = [ "FLYWHEEL_DATA_DIR=${stateFolder}" ];
        EnvironmentFile = lib.optional (cfg.environmentFile != null) cfg.environmentFile;
        Restart = "on-failure";
        RestartSec = 2;
        # Uploads that are under way may finish before the process goes.
        TimeoutStopSec = 90;
        LimitNOFILE = 65536;

        DynamicUser = true;
        StateDirectory = stateDirectory;
        StateDirectoryMode = "0700";
        WorkingDirectory = stateFolder;
        UMask = "0077";

        CapabilityBoundingSet = "";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        PrivateUsers = true;
        ProcSubset = "pid";
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProtectSystem = "strict";
        RemoveIPC = true;
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallErrorNumber = "EPERM";
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
          "~@resources"
        ];
      };
    };
  };
}
