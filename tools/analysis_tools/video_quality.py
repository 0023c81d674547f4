from mmpfcn.commands.video_quality import main

if __name__ == '__main__':
    main()
