# A folder that is kept the same as one on Google Drive, or Google Drive as a folder.
#
# Set up once, by hand: rclone config
# makes a remote "gdrive" of type "drive", and sets a configuration password. rclone writes fresh
# tokens into rclone.conf, so that file can be no link into the store; encrypted, it can lie in the
# home. Its password is never in the store either: rclone asks movein, which asks the vault, for
# the entry with the attributes service = "rclone", key = "config-password".
# Until there is an rclone.conf, nothing is started and nothing fails.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.my.rclone;
  password = "movein secret get rclone config-password";
  unit.ConditionPathExists = "${config.xdg.configHome}/rclone/rclone.conf";
  environment = [
    "\"RCLONE_PASSWORD_COMMAND=${password}\""
    # fusermount3 is the distribution's: it needs rights that nothing in the store has.
    "PATH=${config.home.homeDirectory}/.local/bin:/run/wrappers/bin:/usr/local/bin:/usr/bin:/bin"
  ];
  rclone = lib.getExe config.programs.rclone.package;
  local = lib.escapeShellArg cfg.folder;
  remote = lib.escapeShellArg cfg.remote;

  # The first run has nothing to compare with: --resync takes both sides together and deletes nothing.
  bisync = pkgs.writeShellScript "rclone-gdrive" ''
    mkdir=${pkgs.coreutils}/bin/mkdir
    touch=${pkgs.coreutils}/bin/touch
    "$mkdir" -p ${local} "$STATE_DIRECTORY"
    first=
    [ -e "$STATE_DIRECTORY/synced" ] || first="--resync --resync-mode newer"
    ${rclone} bisync ${remote} ${local} $first \
      --resilient --recover --max-lock 2m --conflict-resolve newer --create-empty-src-dirs &&
      "$touch" "$STATE_DIRECTORY/synced"
  '';
in
{
  options.my.rclone = {
    enable = lib.mkEnableOption "Google Drive by rclone" // {
      default = config.my.desktop;
    };

    mode = lib.mkOption {
      type = lib.types.enum [
        "bisync"
        "mount"
      ];
      default = "bisync";
      description = "bisync: a copy here, also without network. mount: the drive itself, as a folder.";
    };

    remote = lib.mkOption {
      type = lib.types.str;
      default = "gdrive:";
      description = "The remote and the folder in it.";
    };

    folder = lib.mkOption {
      type = lib.types.str;
      default = "${config.home.homeDirectory}/GDrive";
      defaultText = "~/GDrive";
      description = "The folder here.";
    };

    every = lib.mkOption {
      type = lib.types.str;
      default = "15min";
      description = "How long to wait between two runs of bisync (see: man systemd.time).";
    };
  };

  config = lib.mkIf cfg.enable {
    # Without "remotes": home-manager would write rclone.conf at each login, without its tokens.
    programs.rclone.enable = true;

    # rclone by hand needs the password as well.
    home.sessionVariables.RCLONE_PASSWORD_COMMAND = password;

    systemd.user = lib.mkMerge [
      (lib.mkIf (cfg.mode == "bisync") {
        services.rclone-gdrive = {
          Unit = unit // {
            Description = "Sync ${cfg.folder} with ${cfg.remote}";
          };
          Service = {
            Type = "oneshot";
            Environment = environment;
            StateDirectory = "rclone-gdrive";
            ExecStart = "${bisync}";
          };
        };
        timers.rclone-gdrive = {
          Unit.Description = "Sync ${cfg.folder} every ${cfg.every}";
          Timer = {
            OnStartupSec = "2min";
            OnUnitInactiveSec = cfg.every;
          };
          Install.WantedBy = [ "timers.target" ];
        };
      })

      (lib.mkIf (cfg.mode == "mount") {
        services.rclone-gdrive = {
          Unit = unit // {
            Description = "${cfg.remote} as ${cfg.folder}";
          };
          Service = {
            Type = "notify";
            Environment = environment;
            ExecStartPre = "${pkgs.coreutils}/bin/mkdir -p ${local}";
            ExecStart = "${rclone} mount --vfs-cache-mode full ${remote} ${local}";
            Restart = "on-failure";
            RestartSec = 30;
          };
          Install.WantedBy = [ "default.target" ];
        };
      })
    ];
  };
}
