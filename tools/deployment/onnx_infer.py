from mmpfcn.commands.onnx_infer import main

if __name__ == '__main__':
    raise SystemExit(main())
