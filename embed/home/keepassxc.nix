# The password manager, and the Secret Service that programs ask for passwords.
#
# There is no "settings" here: KeePassXC writes its keepassxc.ini itself, and a link into the
# store would be read-only. The dotfiles make it once, with the Secret Service switched on.
# Which group of the vault is exposed is said in the vault: Database Settings > Secret Service.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.my.keepassxc;
in
{
  options.my.keepassxc = {
    enable = lib.mkEnableOption "KeePassXC" // {
      default = config.my.desktop;
    };
    secretService = lib.mkEnableOption "KeePassXC as the Secret Service of the session" // {
      default = true;
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        programs.keepassxc = {
          enable = true;
          autostart = true;
        };
        xdg.autostart.enable = true; # autostart needs it
      }

      (lib.mkIf cfg.secretService {
        home.packages = [ pkgs.libsecret ]; # secret-tool lookup service NAME key NAME

        # Who asks for a secret before KeePassXC runs, starts it.
        xdg.dataFile."dbus-1/services/org.freedesktop.secrets.service".text = ''
          [D-BUS Service]
          Name=org.freedesktop.secrets
          Exec=${lib.getExe config.programs.keepassxc.package}
        '';

        # KWallet must not take the name first.
        programs.plasma.configFile.kwalletrc = lib.mkIf config.my.plasma.enable {
          "org.freedesktop.secrets".apiEnabled = false;
          Wallet.Enabled = false;
        };
      })
    ]
  );
}
