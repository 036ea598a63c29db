# A home as a flake. It has no inputs, so it evaluates and builds without any network.
#
#   home.nix    what the home contains: start here
#   host.json   whose home on which host: {"user", "home", "system", "hostname"}
#   lib/        turns home.nix into a generation; no need to look inside
{
  description = "A small home to start from";

  outputs =
    { self }:
    let
      host =
        if builtins.pathExists ./host.json then
          builtins.fromJSON (builtins.readFile ./host.json)
        else
          throw ''host.json is missing; it says {"user": …, "home": …, "system": …, "hostname": …}'';
    in
    {
      # The same output as that of a real home-manager flake.
      homeConfigurations."${host.user}@${host.hostname}" = import ./lib/generation.nix {
        inherit host;
        home = import ./home.nix host;
      };
    };
}
