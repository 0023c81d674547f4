from mmpfcn.commands.efficientnet_lite_to_timm import main

if __name__ == '__main__':
    raise SystemExit(main())
