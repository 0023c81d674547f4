from mmpfcn.commands.detectron2_to_mmpfcn import main

if __name__ == '__main__':
    raise SystemExit(main())
