# A home to be planned as on other kinds of host: what home-manager would have evaluated, without inputs.
{
  outputs = { self }:
    let
      home = directory: shellAliases: {
        config.home = {
          username = "mitsio";
          homeDirectory = directory;
          packages = [ { name = "hello"; } ];
          file.".bashrc" = { target = ".bashrc"; text = directory; };
          inherit shellAliases;
        };
        config.targets.genericLinux.enable = true;
        pkgs.stdenv.hostPlatform.system = "aarch64-linux";
      };
    in
    {
      homeConfigurations.debian = home "/home/mitsio" { ll = "ls -l"; };
      homeConfigurations.kinoite = home "/var/home/mitsio" { up = "rpm-ostree upgrade"; };
    };
}
