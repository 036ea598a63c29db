{
  description = "What the module system gives of a configuration, without one: for the tests";
  outputs =
    { self }:
    let
      option = files: {
        _type = "option";
        definitionsWithLocations = map (file: { file = toString file; value = throw "values are not looked at"; }) files;
      };
    in
    {
      nixosConfigurations.one.options = {
        _module.args = option [ ./made.nix ];
        boot.tmp.useTmpfs = option [ ./made.nix ];
        boot.broken = {
          _type = "option";
          definitionsWithLocations = throw "it cannot be had";
        };
        networking.hostName = option [ ./made.nix /elsewhere.nix ];
        programs.tmux.enable = option [ ./made.nix ];
        services.unset = option [ ];
        services.tlp.enable = option [ ./part ];
        home-manager.users = option [ ./made.nix ] // {
          valueMeta.attrs.me.configuration.options.programs.git.enable = option [ ./made.nix ];
        };
      };
      nixosConfigurations.two.options.networking.hostName = option [ ./made.nix ];
      homeConfigurations.me.options.programs.kitty.enable = option [ ./home.nix ];
    };
}
