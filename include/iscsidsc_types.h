/* SPDX-License-Identifier: MIT */
/*
 * The Windows types and constants that iscsidsc.h needs
 *
 * Sizes are those of Windows: ULONG and DWORD have 32 bits on every machine and
 * WCHAR is one 16-bit unit of UTF-16. wchar_t has 32 bits on Linux and is not
 * used; write wide text as u"..." (C11 and C++11). CHAR text is UTF-8.
 *
 * A program that has Windows types of its own says so before it includes
 * iscsidsc.h:
 *
 *   ISCSIDSC_NO_WINDOWS_TYPES  no type is defined here. ULONG, DWORD, USHORT,
 *                              UCHAR, CHAR, WCHAR, BOOLEAN, ULONGLONG, PVOID and
 *                              their pointers must exist, with the sizes above
 *                              (this is checked), and GUID as well. The GUIDs of
 *                              device classes are then the program's too
 *   ISCSIDSC_NO_STORAGE_TYPES  SCSI_ADDRESS, STORAGE_DEVICE_NUMBER and
 *                              DEVICE_TYPE exist, too
 *
 * The guards of the well-known headers (_WINNT_, _MINWINDEF_, GUID_DEFINED) are
 * understood as well. Macros that exist already are left as they are.
 */
#ifndef ISCSIDSC_TYPES_H
#define ISCSIDSC_TYPES_H

#include <stdint.h>

#if !defined(ISCSIDSC_NO_WINDOWS_TYPES) && (defined(_WINNT_) || defined(_MINWINDEF_))
#define ISCSIDSC_NO_WINDOWS_TYPES
#endif

#ifndef WINAPI
#define WINAPI
#endif

#ifndef ISCSIDSC_NO_WINDOWS_TYPES

typedef char CHAR, *PCHAR, *PSTR;
typedef unsigned char UCHAR, *PUCHAR;
typedef unsigned char BOOLEAN, *PBOOLEAN; /* any value but 0 is true */
typedef uint16_t USHORT, *PUSHORT;
typedef uint32_t ULONG, *PULONG;
typedef uint32_t DWORD;
typedef uint64_t ULONGLONG;
typedef void *PVOID;
#if defined(__cplusplus) && __cplusplus >= 201103L
typedef char16_t WCHAR, *PWCHAR, *PWSTR; /* what u"" is made of in C++ */
#else
typedef uint16_t WCHAR, *PWCHAR, *PWSTR;
#endif

#ifndef GUID_DEFINED
#define GUID_DEFINED
typedef struct _GUID {
	ULONG Data1;
	USHORT Data2;
	USHORT Data3;
	UCHAR Data4[8];
} GUID;
#endif

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif

#endif /* ISCSIDSC_NO_WINDOWS_TYPES */

/* Holds in every mode: with other sizes the structures below would be other ones. */
typedef char iscsidsc_check_ulong[sizeof(ULONG) == 4 && sizeof(DWORD) == 4 ? 1 : -1];
typedef char iscsidsc_check_ushort[sizeof(USHORT) == 2 && sizeof(WCHAR) == 2 ? 1 : -1];
typedef char iscsidsc_check_uchar[sizeof(UCHAR) == 1 && sizeof(BOOLEAN) == 1 ? 1 : -1];
typedef char iscsidsc_check_ulonglong[sizeof(ULONGLONG) == 8 && sizeof(GUID) == 16 ? 1 : -1];

#ifndef MAX_PATH
#define MAX_PATH 260
#endif

#ifndef ISCSIDSC_NO_STORAGE_TYPES

typedef DWORD DEVICE_TYPE;

/* ntddscsi.h */
typedef struct _SCSI_ADDRESS {
	ULONG Length; /* 8 */
	UCHAR PortNumber;
	UCHAR PathId;
	UCHAR TargetId;
	UCHAR Lun;
} SCSI_ADDRESS, *PSCSI_ADDRESS;

/* winioctl.h */
typedef struct _STORAGE_DEVICE_NUMBER {
	DEVICE_TYPE DeviceType;
	DWORD DeviceNumber;
	DWORD PartitionNumber;
} STORAGE_DEVICE_NUMBER, *PSTORAGE_DEVICE_NUMBER;

#ifndef ISCSIDSC_NO_WINDOWS_TYPES
/* What ISCSI_DEVICE_ON_SESSION.DeviceInterfaceType may be. */
#if defined(__GNUC__)
#define ISCSIDSC_CLASS_GUID static const GUID __attribute__((unused))
#else
#define ISCSIDSC_CLASS_GUID static const GUID
#endif
#define ISCSIDSC_CLASS_GUID_VALUE(first)                               \
	{                                                              \
		first, 0xb6bf, 0x11d0,                                 \
		{                                                      \
			0x94, 0xf2, 0x00, 0xa0, 0xc9, 0x1e, 0xfb, 0x8b \
		}                                                      \
	}
ISCSIDSC_CLASS_GUID GUID_DEVINTERFACE_DISK = ISCSIDSC_CLASS_GUID_VALUE(0x53f56307);
ISCSIDSC_CLASS_GUID GUID_DEVINTERFACE_CDROM = ISCSIDSC_CLASS_GUID_VALUE(0x53f56308);
ISCSIDSC_CLASS_GUID GUID_DEVINTERFACE_TAPE = ISCSIDSC_CLASS_GUID_VALUE(0x53f5630b);
ISCSIDSC_CLASS_GUID GUID_DEVINTERFACE_WRITEONCEDISK = ISCSIDSC_CLASS_GUID_VALUE(0x53f5630c);
ISCSIDSC_CLASS_GUID GUID_DEVINTERFACE_VOLUME = ISCSIDSC_CLASS_GUID_VALUE(0x53f5630d);
ISCSIDSC_CLASS_GUID GUID_DEVINTERFACE_MEDIUMCHANGER = ISCSIDSC_CLASS_GUID_VALUE(0x53f56310);
ISCSIDSC_CLASS_GUID GUID_DEVINTERFACE_FLOPPY = ISCSIDSC_CLASS_GUID_VALUE(0x53f56311);
ISCSIDSC_CLASS_GUID GUID_DEVINTERFACE_CDCHANGER = ISCSIDSC_CLASS_GUID_VALUE(0x53f56312);

#undef ISCSIDSC_CLASS_GUID
#undef ISCSIDSC_CLASS_GUID_VALUE
#endif /* ISCSIDSC_NO_WINDOWS_TYPES */

#endif /* ISCSIDSC_NO_STORAGE_TYPES */

/* STORAGE_DEVICE_NUMBER.DeviceType */
#ifndef FILE_DEVICE_CD_ROM
#define FILE_DEVICE_CD_ROM 0x00000002
#endif
#ifndef FILE_DEVICE_DISK
#define FILE_DEVICE_DISK 0x00000007
#endif
#ifndef FILE_DEVICE_TAPE
#define FILE_DEVICE_TAPE 0x0000001f
#endif
#ifndef FILE_DEVICE_CHANGER
#define FILE_DEVICE_CHANGER 0x00000030
#endif
#ifndef FILE_DEVICE_DVD
#define FILE_DEVICE_DVD 0x00000033
#endif

#endif
