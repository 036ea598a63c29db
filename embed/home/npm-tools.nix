# Node.js, and programs that only npm has.
#
# npm cannot write to the store: -g installs go to ~/.npm-global, and stay until they are removed there.
# What is listed here is installed at activation if it is missing; npm update -g brings newer ones.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.my.npm;
  prefix = "${config.home.homeDirectory}/.npm-global";
in
{
  options.my.npm = {
    enable = lib.mkEnableOption "Node.js and npm";
    packages = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "@anthropic-ai/claude-code" ];
      description = "Packages that npm installs globally.";
    };
  };

  config = lib.mkIf cfg.enable {
    programs.npm = {
      enable = true;
      settings = {
        inherit prefix;
        update-notifier = false;
        fund = false;
      };
    };
    home.sessionPath = [ "${prefix}/bin" ];

    # Without network it says so, and the activation goes on.
    home.activation.npmTools = lib.mkIf (cfg.packages != [ ]) (
      lib.hm.dag.entryAfter [ "linkGeneration" ] ''
        for package in ${lib.escapeShellArgs cfg.packages}; do
          [[ -e ${prefix}/lib/node_modules/$package ]] ||
            PATH=${config.programs.npm.package}/bin:${pkgs.bash}/bin:$PATH run npm install --global "$package" ||
            warnEcho "npm could not install $package; the next activation tries again"
        done
      ''
    );
  };
}
