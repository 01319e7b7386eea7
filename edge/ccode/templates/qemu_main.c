
/* From here on: a start on a board that QEMU emulates. It makes the call that waits in memory and writes what that filled to a file of the host. */

#define BOARD_CALL ((const uint32_t *)${call}u) /* function, seven arguments, address and bytes of what goes back */

void board_main(void);

/* Semihosting: a request to the emulator, with an array of its arguments. Aligned, as on RISC-V it must not lie across two pages. */
static __attribute__((noinline, aligned(128))) uint32_t request(uint32_t number, const uint32_t *arguments)
{
#ifdef __riscv
    register uint32_t result __asm__("a0") = number;
    register const uint32_t *given __asm__("a1") = arguments;
    __asm__ volatile(".option push\n.option norvc\nslli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop" : "+r"(result) : "r"(given) : "memory");
#else
    register uint32_t result __asm__("r0") = number;
    register const uint32_t *given __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xAB" : "+r"(result) : "r"(given) : "memory");
#endif
    return result;
}

static void *at(uint32_t argument)
{
    return (void *)BOARD_CALL[argument];
}

void board_main(void)
{
    static const char name[] = "filled.bin";
    uint32_t opened[3], written[3], reply = 0u;
    switch (BOARD_CALL[0]) {
    case 0u:
        reply = driver_state_bytes();
        break;
    case 1u:
        reply = (uint32_t)driver_run(at(1u), BOARD_CALL[2], at(3u), at(4u), at(5u));
        break;
@if hears
    case 2u:
        reply = (uint32_t)driver_hear(at(1u), BOARD_CALL[2], at(3u), BOARD_CALL[4], at(5u), (int32_t)BOARD_CALL[6], at(7u));
        break;
@end
    default:
        break;
    }
    opened[0] = (uint32_t)name;
    opened[1] = 5u; /* to write bytes */
    opened[2] = sizeof name - 1u;
    written[0] = request(0x01u, opened);
    written[1] = (uint32_t)&reply;
    written[2] = 4u;
    (void)request(0x05u, written);
    written[1] = BOARD_CALL[8];
    written[2] = BOARD_CALL[9];
    (void)request(0x05u, written);
    (void)request(0x02u, written); /* close */
    (void)request(0x18u, (const uint32_t *)0x20026u); /* the end, without an error */
    for (;;) {
    }
}

#ifdef __riscv
__asm__(".section .start, \"ax\"\n.globl _start\n_start:\nli sp, ${stack}\nj board_main\n.text\n");
#else
__attribute__((section(".start"), used)) static void (*const vectors[2])(void) = {(void (*)(void))${stack}u, board_main};
#endif
