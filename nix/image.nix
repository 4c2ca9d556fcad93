# The server as a container image: whatever it is started with are the server's arguments. User 1000, port 8080, state in /data.
{
  lib,
  dockerTools,
  flywheel-server,
}:
dockerTools.buildLayeredImage {
  name = "flywheel-cache";
  tag = flywheel-server.version;
  contents = [
    flywheel-server
    dockerTools.caCertificates
  ];
  extraCommands = ''
    mkdir -p data tmp
    chmod 1777 data tmp
  '';
  config = {
    Entrypoint = [ (lib.getExe' flywheel-server "atticd") ];
    ExposedPorts."8080/tcp" = { };
    User = "1000:1000";
    WorkingDir = "/data";
    Volumes."/data" = { };
    Env = [
      "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt"
      "TZ=UTC"
      "FLYWHEEL_DATA_DIR=/data"
    ];
  };
}
